import { existsSync, readdirSync, readFileSync, realpathSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import { SettingsError } from '../config/settings.ts';
import { directoryFault } from '../errors/setup-fault.ts';
import { isOpenToOthers, makePrivate, makePrivateDir, makePrivateFile } from '../system/private-files.ts';

/**
 * The lock file of the data directory. It is an SQLite database that its holder keeps locked: the system releases
 * such a lock when the process ends in any way, also in a container, where process ids say nothing.
 */
const LOCK_FILE = 'catalog.sqlite.lock';

/** Names of the service's own files in a data directory, and of what a file system creates. */
const OWN_FILES = /^(blobs|unfinished|catalog\.sqlite.*|url-signing\.key.*|lost\+found)$/;

/** The lock file, and what SQLite keeps beside it. */
const LOCK_FILES = /^catalog\.sqlite\.lock/;

/** Files that exist before the first file of a caller. */
const CREATED_FILES = /^(catalog\.sqlite|url-signing\.key)/;

/** Directories of the filesystem store. */
const BLOB_DIRS = /^(blobs|unfinished)$/;

/** SQLite's result code for a database that another process has locked. */
const SQLITE_BUSY = 5;

/** Offset of `user_version` in an SQLite file, a big-endian 32-bit number. */
const USER_VERSION_AT = 60;

/** Lock files of this process. It must not open them again, because closing one would release its lock. */
const held = new Set<string>();

/**
 * Creates the data directory, if the store or the catalog is embedded, and locks it for this process until the
 * returned function is called. The same for the directory of the store that a move goes to.
 *
 * @throws SettingsError if another process has it, or it cannot be used
 */
export function holdDataDir(config: Config, log: Logger): () => void {
  const releases: (() => void)[] = [];
  const release = () => releases.forEach((one) => one());
  try {
    for (const dir of dataDirs(config)) releases.push(holdDir(dir, log));
    return release;
  } catch (error) {
    release();
    throw error;
  }
}

/** The directory of the embedded store and catalog, and that of the store that a move goes to. */
function dataDirs({ settings, store, catalog, nextStore }: Config): readonly string[] {
  const isEmbedded = store.kind === 'filesystem' || catalog.kind === 'sqlite';
  const own = isEmbedded ? [settings.ASSET_DATA_DIR] : [];
  const next = nextStore?.store.kind === 'filesystem' ? [nextStore.settings.ASSET_DATA_DIR] : [];
  return [...own, ...next.filter((dir) => !own.some((one) => resolve(one) === resolve(dir)))];
}

/**
 * Like {@link holdDataDir}, for work that may be refused before it stores any file. Call `undo` while the directories are
 * held: it removes those that did not exist, and from those that were empty what was created since. Blobs stay.
 */
export function holdDataDirUndoably(
  config: Config,
  log: Logger,
): { readonly release: () => void; readonly undo: () => void } {
  const dirs = dataDirs(config);
  const missing = dirs.flatMap(missingDirs);
  const release = holdDataDir(config, log);
  // Looked at while they are held: another process may have used and released one a moment before.
  const empty = dirs.filter((dir) => readdirSync(dir).every((name) => LOCK_FILES.test(name)));
  const undo = () => {
    for (const dir of empty) {
      for (const name of readdirSync(dir)) {
        if (CREATED_FILES.test(name)) rmSync(join(dir, name));
        else if (BLOB_DIRS.test(name)) removeEmpty(join(dir, name));
      }
    }
    for (const path of missing) if (existsSync(path) && readdirSync(path).length === 0) rmdirSync(path);
  };
  return { release, undo };
}

/** Removes a directory in which there are only directories. */
function removeEmpty(dir: string): void {
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    if (entry.isDirectory()) removeEmpty(join(dir, entry.name));
  }
  if (readdirSync(dir).length === 0) rmdirSync(dir);
}

/** A directory and those above it, as far as they do not exist. */
function missingDirs(dir: string): readonly string[] {
  const missing: string[] = [];
  for (let path = resolve(dir); !existsSync(path); path = dirname(path)) missing.push(path);
  return missing;
}

function holdDir(dir: string, log: Logger): () => void {
  try {
    makePrivateDir(dir);
    // A directory with other files may belong to somebody else; its mode stays.
    if (readdirSync(dir).every((name) => OWN_FILES.test(name))) makePrivate(dir);
    if (isOpenToOthers(dir)) {
      log.warn({ dir }, 'other users of the machine can look into ASSET_DATA_DIR: give it the mode 0700');
    }
    return lock(dir);
  } catch (error) {
    throw directoryFault(error) ?? error;
  }
}

function lock(dir: string): () => void {
  const path = join(realpathSync(dir), LOCK_FILE);
  if (held.has(path)) throw inUse(dir, process.pid, new Date(statSync(path).mtimeMs));
  makePrivateFile(path);
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    // The pid is for the error message of other processes. It is written before the file is locked permanently, and
    // another process may do so in between.
    let holder: unknown;
    while (holder !== process.pid) {
      if (holder !== undefined) database.exec('commit');
      database.exec(`begin exclusive; pragma user_version = ${process.pid}; commit; begin exclusive`);
      holder = database.prepare('pragma user_version').get()?.['user_version'];
    }
  } catch (error) {
    database.close();
    if ((error as { errcode?: number }).errcode !== SQLITE_BUSY) throw error;
    throw inUse(dir, readFileSync(path).readUInt32BE(USER_VERSION_AT), new Date(statSync(path).mtimeMs));
  }
  held.add(path);
  return () => {
    database.close();
    held.delete(path);
  };
}

function inUse(dir: string, pid: number, since: Date): SettingsError {
  return new SettingsError([
    `ASSET_DATA_DIR: another process (pid ${pid}, since ${since.toISOString()}) uses the directory ` +
      `${JSON.stringify(dir)}, and the embedded store and catalog are for one: stop it, or give this one a directory of its own`,
  ]);
}
