import { DERIVED_PREFIX, derivedKey, derivedOf, findDerivedNames, removeBytes } from '../bytes.ts';
import { derivedNames, fileOfLease, namesOfLease, THUMBHASH } from '../renditions.ts';
import { blobPages } from '../../storage/blob-reads.ts';
import type { SweepRun } from './run.ts';

/** Maximum number of entries read at once. */
const BATCH = 100;

/** Prefix of the keys that say since when a definition is not used. */
const GONE_PREFIX = 'variants-gone/';

/** How long the sweeper has a lease that a crashed process left, in milliseconds. */
const LEASE_MS = 60_000;

/** Waits until this many blobs may be deleted. */
export type Step = (count: number) => Promise<void>;

/** Names of everything that is derived from files now, or was by the policies before. */
export class DerivedNames {
  readonly #run: SweepRun;
  #stored: Promise<readonly string[]> | undefined;

  constructor(run: SweepRun) {
    this.#run = run;
  }

  /** What a purged file may have. The policies are asked each time, the store once per sweep. */
  async all(): Promise<readonly string[]> {
    const { policies } = this.#run.context;
    return [...new Set([...(await this.stored()), ...(policies ? derivedNames(policies) : [])])];
  }

  /**
   * The names in the store, read once per sweep; none if the store does not list and no policy has variants.
   */
  stored(): Promise<readonly string[]> {
    const { context, signal } = this.#run;
    this.#stored ??= findDerivedNames(context.store, { signal }).catch((error: unknown) => {
      const { policies, log } = context;
      if (signal.aborted || (policies && derivedNames(policies).size > 0)) throw error;
      // A service that makes no variants needs no permission to list.
      log.debug({ err: error }, 'cannot look for variants that are not used any more');
      return [];
    });
    return this.#stored;
  }
}

/**
 * Removes what was derived by definitions that no usage policy has any more, if they have been missing for the grace
 * time: URLs of these variants may still be in use, and another replica may still have the old policies.
 */
export async function removeUnused(run: SweepRun, names: DerivedNames, step: Step): Promise<void> {
  const { context, signal } = run;
  const { store, policies, graceMs } = context;
  if (policies === undefined || graceMs === undefined) return;
  const wanted = derivedNames(policies);
  const stored = await names.stored();
  if (stored.length === 0) return;
  const gone = stored.filter((name) => !wanted.has(name));
  const marks = await store.listBlobs({ prefix: GONE_PREFIX, limit: 1_000 }, { signal });
  const since = new Map(marks.map(({ key, modifyTime }) => [key.slice(GONE_PREFIX.length), modifyTime]));
  for (const name of gone) {
    const time = since.get(name);
    if (time === undefined) {
      const body = { sizeBytes: 0, chunks: [] };
      await store.put(GONE_PREFIX + name, body, { contentType: 'application/octet-stream' }, { signal });
    } else if (store.now().getTime() - time.getTime() >= graceMs) {
      if (await removeAll(run, name, step)) await store.delete(GONE_PREFIX + name, { signal });
    }
  }
  for (const name of since.keys()) {
    if (!gone.includes(name)) await store.delete(GONE_PREFIX + name, { signal });
  }
}

/** Removes everything that a name gave; true if nothing is left. */
async function removeAll(run: SweepRun, name: string, step: Step): Promise<boolean> {
  const { store } = run.context;
  let isDone = true;
  const call = { signal: run.signal };
  for await (const page of blobPages(store, { prefix: `${DERIVED_PREFIX}${name}/`, limit: BATCH }, call)) {
    for (const { key } of page) {
      const id = derivedOf(key)?.fileId ?? key;
      await step(1);
      isDone = (await run.attempt('id', id, () => store.delete(key, call))) && isDone;
    }
  }
  return isDone;
}

/**
 * Cleans up after processes that were killed while they made a variant. Their leases tell: a lease that was not released
 * has expired. What such a process stored stays if the file is there.
 */
export async function cleanInterrupted(run: SweepRun, names: DerivedNames): Promise<void> {
  const { context, signal } = run;
  const { catalog } = context;
  for (let from: string | undefined; ;) {
    const page = await catalog.exportState('lease', from, BATCH, { signal });
    for (const { key, value } of page.items) {
      const fileId = fileOfLease(key);
      if (fileId === undefined || value.expireTime > Date.now()) continue;
      await run.attempt('id', fileId, () => cleanLease(run, { name: key, fileId }, names));
    }
    from = page.next;
    if (from === undefined) return;
  }
}

async function cleanLease(
  { context, signal }: SweepRun,
  { name, fileId }: { readonly name: string; readonly fileId: string },
  names: DerivedNames,
): Promise<void> {
  const { catalog, store } = context;
  const holder = `sweep-${fileId}`;
  if (!(await catalog.acquireLease(name, holder, new Date(Date.now() + LEASE_MS), { signal }))) return;
  const isFile = (await catalog.get([fileId], { signal })).has(fileId);
  for (const one of [THUMBHASH, ...namesOfLease(name)]) {
    await store.abortMultiparts(derivedKey(one, fileId), { signal });
  }
  if (!isFile) await removeBytes(store, fileId, { derived: await names.all() }, { signal });
  await catalog.releaseLease(name, holder, { signal });
}
