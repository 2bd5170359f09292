import { randomBytes } from 'node:crypto';
import type { FileCatalog } from '../../catalog/file-catalog.ts';
import { isAssetError } from '../../errors/asset-error.ts';
import type { Begun, Manifest } from './format.ts';
import type { BackupPlace } from './place.ts';

interface BeginParts {
  readonly catalog: FileCatalog;
  readonly place: BackupPlace;
}

/** A backup that has begun, now or in an earlier run. */
export interface BegunBackup {
  readonly name: string;
  readonly begun: Begun;
  /** Start of the unfinished backup that is continued; empty if there is none. */
  readonly resumedFrom: string;
  /** Why the backup is full although there was one before; empty otherwise. */
  readonly whyFull: string;
}

/** Continues the last unfinished backup if that is possible, or begins one; removes the other unfinished ones. */
export async function beginBackup(
  parts: BeginParts,
  full: boolean,
  signal: AbortSignal,
): Promise<BegunBackup> {
  const { place, catalog } = parts;
  const last = (await place.finished(signal)).at(-1) ?? '';
  const unfinished = await place.unfinished(signal);
  for (const name of unfinished.toReversed()) {
    const begun = await place.begun(name, signal);
    const isWanted = begun.kind === 'full' || (!full && begun.base === last);
    if (name === unfinished.at(-1) && isWanted && (await canRead(catalog, begun.cursor, signal)))
      return { name, begun, resumedFrom: begun.startTime, whyFull: '' };
    await place.discard(name, signal);
  }
  const base = last === '' || full ? undefined : await place.manifest(last, signal);
  const whyFull = base === undefined ? '' : await whyNotIncremental(catalog, base, signal);
  const isIncremental = base !== undefined && whyFull === '';
  const startTime = new Date().toISOString();
  const begun: Begun = {
    ...{ kind: isIncremental ? 'incremental' : 'full', base: isIncremental ? last : '', startTime },
    cursor: isIncremental ? base.cursor : await catalog.changes.position('now', { signal }),
  };
  const name = `${startTime.toLowerCase().replaceAll(/[:.-]/g, '')}-${randomBytes(3).toString('hex')}`;
  await place.begin(name, begun, signal);
  return { name, begun, resumedFrom: '', whyFull };
}

/** Why the changes since a backup are not enough; empty if they are. */
async function whyNotIncremental(
  catalog: FileCatalog,
  { name, cursor, damagedCount }: Manifest,
  signal: AbortSignal,
): Promise<string> {
  if (damagedCount > 0) return `the backup ${name} lacks the bytes of damaged files, which are read again`;
  if (await canRead(catalog, cursor, signal)) return '';
  return `the change log no longer has what followed the backup ${name}: it was trimmed, or this is another catalog`;
}

async function canRead(catalog: FileCatalog, cursor: string, signal: AbortSignal): Promise<boolean> {
  try {
    await catalog.changes.read(cursor, 1, { signal: signal });
    return true;
  } catch (error) {
    if (isAssetError(error, 'CURSOR_EXPIRED')) return false;
    throw error;
  }
}
