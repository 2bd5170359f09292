import type { FileChange, FileRecord } from '../../catalog/file-catalog.ts';
import { isAssetError } from '../../errors/asset-error.ts';
import { fieldNotWritable } from '../../errors/fields.ts';
import { datasetInvalid, filePinned } from '../../errors/records.ts';
import type { Caller } from '../../identity/caller.ts';
import { readBytes } from '../bytes.ts';
import type { FilesContext } from '../context.ts';
import { verdictOn } from '../policy/guard.ts';
import { isManifest, readManifest, sourcesIn, type ManifestEntry } from './manifest.ts';
import { livePins } from './pins.ts';

/** Number of files that are looked up at once. */
const BATCH = 200;

/** What is known of a file that may be a manifest. */
type Described = Pick<FileRecord, 'id' | 'usage' | 'contentType'>;

/**
 * Checks a manifest whose bytes are stored: every file that it names exists, is not deleted and has the SHA-256 and size
 * that it says. Does nothing for other files.
 *
 * @param caller - must be permitted to read and to change every file, because a manifest keeps them from being deleted, and
 *   to read what it was made from; undefined if that was checked before. What it was made from may be purged later.
 * @throws AssetError DATASET_INVALID
 */
export async function assertManifest(
  context: FilesContext,
  caller: Caller | undefined,
  file: Described,
  signal: AbortSignal,
): Promise<void> {
  if (!isManifest(file)) return;
  let batch: ManifestEntry[] = [];
  let sources: readonly string[] = [];
  const bytes = await readBytes(context.store, file.id, { signal });
  const entries = readManifest(bytes, (head) => {
    if (caller !== undefined) sources = sourcesIn(head);
  });
  for await (const entry of entries) {
    batch.push(entry);
    if (batch.length < BATCH) continue;
    await assertEntries(context, caller, batch, signal);
    batch = [];
  }
  await assertEntries(context, caller, batch, signal);
  if (caller !== undefined) await assertSources(context, caller, sources, signal);
}

async function assertSources(
  context: FilesContext,
  caller: Caller,
  sources: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const ids = [...new Set(sources)];
  for (let start = 0; start < ids.length; start += BATCH) {
    const files = await context.catalog.get(ids.slice(start, start + BATCH), { signal });
    for (const id of ids.slice(start, start + BATCH)) {
      const file = files.get(id);
      if (file !== undefined && verdictOn(context, caller, 'read', file).allowed) continue;
      throw datasetInvalid(1, '"derived_from" names a file that does not exist or that you may not read', id);
    }
  }
}

async function assertEntries(
  context: FilesContext,
  caller: Caller | undefined,
  entries: readonly ManifestEntry[],
  signal: AbortSignal,
): Promise<void> {
  const files = await context.catalog.get([...new Set(entries.map(({ id }) => id))], { signal });
  for (const { line, id, sha256, size } of entries) {
    const file = files.get(id);
    const isPermitted =
      caller === undefined ||
      (verdictOn(context, caller, 'read', file).allowed &&
        verdictOn(context, caller, 'update', file).allowed);
    if (file === undefined || !isPermitted || file.deleteTime !== undefined) {
      const why = 'it names a file that does not exist, is deleted, or that you may not read and change';
      throw datasetInvalid(line, why, id);
    }
    const actual = file.sha256 && Buffer.from(file.sha256).toString('hex');
    if (actual !== sha256 || file.sizeBytes !== size) {
      throw datasetInvalid(line, 'the file does not have this SHA-256 and size', id);
    }
  }
}

/**
 * Checks a manifest again after it can be seen. From now on nobody deletes what it names; what was deleted while it was
 * written makes it invalid, and it is deleted.
 *
 * @throws AssetError DATASET_INVALID
 */
export async function confirmManifest(context: FilesContext, file: FileRecord): Promise<void> {
  if (!isManifest(file) || file.deleteTime !== undefined) return;
  // The caller may be gone; the check must come to its end.
  const signal = AbortSignal.timeout(CONFIRM_MS);
  try {
    await assertManifest(context, undefined, file, signal);
  } catch (error) {
    if (!isAssetError(error, 'DATASET_INVALID')) throw error;
    const now = new Date();
    await context.catalog.update(file.id, file.revision, { deleteTime: now, purgeTime: now }, { signal });
    throw error;
  }
}

const CONFIRM_MS = 10 * 60_000;

/**
 * Refuses to delete a file that a manifest names: a dataset stays readable as long as it is not deleted itself.
 *
 * @throws AssetError FILE_PINNED with the manifest, if the caller may read it
 */
export async function assertNotPinned(
  context: FilesContext,
  caller: Caller,
  fileId: string,
  signal: AbortSignal,
): Promise<void> {
  const pins = await livePins(context, signal);
  const manifest = (await pins.among([fileId], signal)).get(fileId);
  if (manifest === undefined) return;
  throw filePinned(fileId, verdictOn(context, caller, 'read', manifest).allowed ? manifest.id : undefined);
}

/**
 * Refuses a change that would make a file a manifest, or end one: the first was not checked, the second releases files,
 * which deleting does.
 *
 * @throws AssetError FIELD_NOT_WRITABLE
 */
export function assertSameKind(file: FileRecord, change: FileChange): void {
  if (isManifest(file) === isManifest({ ...file, ...change })) return;
  const field = change.usage === undefined ? 'content_type' : 'usage';
  throw fieldNotWritable(
    field,
    `file.${field} cannot make a file a dataset manifest or end one: upload or delete the manifest`,
  );
}
