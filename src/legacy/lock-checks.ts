import type { FileCatalog } from '../catalog/file-catalog.ts';
import { readCatalogRow } from '../move/catalog/row.ts';
import { acknowledgements } from './backfill-state.ts';
import { keysOf } from './layout.ts';
import type { LockableSystem } from './lock-journal.ts';
import type { Refusal } from './refused.ts';
import type { MoveStatus } from './status.ts';
import { whyNotVerified } from './verification.ts';

const PAGE = 500;

/** Number of records whose objects are looked up to recognize a wrong bucket. */
const SAMPLED_RECORDS = 100;

/** Number of objects per layout that are read without an access key. */
const KEYS_PER_LAYOUT = 3;

/** Maximum number of ids in a message. */
const SHOWN_IDS = 5;

/** Records that are neither moved nor acknowledged. */
export interface NotMoved {
  readonly count: number;
  /** The first ids. */
  readonly ids: readonly string[];
}

/**
 * Why the old system may not be locked yet; none if it may. Changes nothing.
 *
 * @param maxAgeMs - maximum age of the verification, in milliseconds
 */
export async function lockRefusals(
  system: LockableSystem,
  status: MoveStatus,
  maxAgeMs: number,
  signal: AbortSignal,
): Promise<readonly Refusal[]> {
  const [notMoved, { isWrongBucket }, publicFiles] = await Promise.all([
    findNotMoved(system.catalog, signal),
    sampleOldKeys(system, status, signal),
    system.access?.publicFiles({ signal }) ?? [],
  ]);
  return [
    ...(await pocketBaseRefusals(system, signal)),
    ...(isWrongBucket ? [wrongBucket(system)] : []),
    ...moveRefusals(status, notMoved),
    ...verifyRefusals(status, maxAgeMs),
    ...publicFiles.map((text) => ({ reason: 'PUBLIC_VIEW_RULE', text }) as const),
  ];
}

/**
 * The refusal if the records were moved here from a PocketBase that the settings do not name: its collection would stay
 * open, and it serves the files of the old bucket by its own key.
 */
async function pocketBaseRefusals(
  { access, catalog, gone }: LockableSystem,
  signal: AbortSignal,
): Promise<readonly Refusal[]> {
  if (access !== undefined || gone !== undefined) return [];
  const row = (await readCatalogRow(catalog, { signal }))?.row;
  if (row?.source.kind !== 'pocketbase' && row?.target.kind !== 'pocketbase') return [];
  const text =
    'ASSET_POCKETBASE_URL, ASSET_POCKETBASE_EMAIL, ASSET_POCKETBASE_PASSWORD: the catalog was moved from a PocketBase, whose collection and files a lock closes: set them to that PocketBase, beside ASSET_CATALOG. If it is switched off for good, name it with --without-pocketbase URL';
  return [{ reason: 'NO_CATALOG_ACCESS', text }];
}

/** The refusal because of files without a copy; none if there are no such files. */
export function moveRefusals({ state, backfill }: MoveStatus, { count, ids }: NotMoved): readonly Refusal[] {
  const again =
    'run "asset-service legacy backfill", or acknowledge the files, and then "asset-service verify"';
  if (count > 0) {
    const some = ids.slice(0, SHOWN_IDS).join(', ');
    return [{ reason: 'NOT_MOVED', text: `${count} files are not moved (${some}): ${again}` }];
  }
  if (backfill === undefined || ['serving', 'audited', 'moving'].includes(state))
    return [{ reason: 'NOT_MOVED', text: `the backfill has not ended with every file moved: ${again}` }];
  return [];
}

/** The refusal because of the last verification; none if it is full, clean, later than the move and recent enough. */
export function verifyRefusals({ backfill, verify }: MoveStatus, maxAgeMs: number): readonly Refusal[] {
  const why = whyNotVerified(backfill, verify, { maxAgeMs });
  return why === undefined ? [] : [{ reason: 'NOT_VERIFIED', text: `${why}: run "asset-service verify"` }];
}

/** Finds records that are neither moved nor acknowledged. */
export async function findNotMoved(catalog: FileCatalog, signal: AbortSignal): Promise<NotMoved> {
  const known = await acknowledgements(catalog.legacy, { signal });
  let count = 0;
  const ids: string[] = [];
  for (let after = ''; ;) {
    const page = await catalog.legacy.scan(after, PAGE, { signal });
    for (const { file } of page) {
      if (file.sha256 !== undefined || file.id in known) continue;
      count += 1;
      if (ids.length < SHOWN_IDS) ids.push(file.id);
    }
    if (page.length < PAGE) return { count, ids };
    after = page.at(-1)!.file.id;
  }
}

/**
 * Keys of old objects for the proofs, from records and from the list; and whether the bucket has no object of a record.
 */
export async function sampleOldKeys(
  { catalog, bucket }: Pick<LockableSystem, 'catalog' | 'bucket'>,
  { purge }: Pick<MoveStatus, 'purge'>,
  signal: AbortSignal,
): Promise<{ readonly keys: readonly string[]; readonly isWrongBucket: boolean }> {
  const records = await catalog.legacy.scan('', SAMPLED_RECORDS, { signal });
  const found: string[] = [];
  let candidates = 0;
  for (const layout of bucket.layouts) {
    let left = KEYS_PER_LAYOUT;
    for (const { fields } of records) {
      const [key] = keysOf([layout], fields);
      if (key === undefined || left === 0) continue;
      candidates += 1;
      if ((await bucket.reader.stat(key, { signal })) === undefined) continue;
      found.push(key);
      left -= 1;
    }
  }
  const listed = await bucket.reader.list('', { signal });
  return {
    keys: [...new Set([...found, ...listed.slice(0, 1).map(({ key }) => key)])],
    // After a purge, no object of a moved file is left.
    isWrongBucket: candidates > 0 && found.length === 0 && purge === undefined,
  };
}

/** The refusal of a bucket that has no object of any record. */
export function wrongBucket({ bucket, bucketAccess }: LockableSystem): Refusal {
  const layouts = bucket.layouts.map(({ template }) => template).join(',');
  const text = `ASSET_LEGACY_S3_BUCKET, ASSET_LEGACY_LAYOUTS: the bucket ${JSON.stringify(bucketAccess.bucket)} has no object of any of the first ${SAMPLED_RECORDS} records by the layouts ${layouts}`;
  return { reason: 'WRONG_BUCKET', text };
}
