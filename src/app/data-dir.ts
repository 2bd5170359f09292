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
 * Remembers which of the directories that {@link holdDataDir} creates are missing or empty. The returned function makes
 * them so again, for work that was refused before it wrote anything. Call it while they are held.
 */
export function undoDataDirs(config: Config): () => void {
  const undos = dataDirs(config).map((dir) => {
    const missing = missingDirs(dir);
    if (missing.length === 0 && !isEmptyDir(dir)) return () => undefined;
    return () => {
      const names = existsSync(dir) ? readdirSync(dir) : [];
      for (const name of names.filter((one) => OWN_FILES.test(one) && one !== 'lost+found')) {
        rmSync(join(dir, name), { recursive: true, force: true });
      }
      for (const path of missing) if (isEmptyDir(path)) rmdirSync(path);
    };
  });
  return () => undos.forEach((undo) => undo());
}

/** A directory and those above it, as far as they do not exist. */
function missingDirs(dir: string): readonly string[] {
  const missing: string[] = [];
  for (let path = resolve(dir); !existsSync(path); path = dirname(path)) missing.push(path);
  return missing;
}

/** False also for what is no directory, or cannot be read. */
function isEmptyDir(path: string): boolean {
  try {
    return readdirSync(path).length === 0;
  } catch {
    return false;
  }
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
