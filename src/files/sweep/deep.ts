import { setTimeout as sleep } from 'node:timers/promises';
import type { ListedBlob } from '../../storage/blob-store.ts';
import { derivedOf, DERIVED_PREFIX, idOfKey, sizeOfBytes } from '../bytes.ts';
import { underLease } from '../lease.ts';
import { paceOf, type Pace } from '../../system/rate.ts';
import { assertPaired, NotProven, unknownIds } from './proof.ts';
import { PROBE_ID, type SweepContext, type SweepFailure } from './run.ts';

/** Options of a deep sweep. */
export interface DeepSweepOptions {
  /** True to report only. */
  readonly dryRun: boolean;
  /** Minimum age of an item, and time between the two checks of the catalog, in milliseconds. */
  readonly graceMs: number;
  /** Maximum number of blobs checked per second. */
  readonly ratePerSecond: number;
  readonly deletionsPerSecond: number;
  /** Continues after this key; default from the first. */
  readonly after?: string;
  /** Holder of the lease; unique to this process. */
  readonly holder: string;
  /** Called for each item found and, unless it is a dry run, for each item removed. */
  readonly onFound: (found: Found) => void;
  readonly onRemoved: (found: Found) => void;
  /** Called with the key up to which all items are done: another run may continue after it. */
  readonly onDone: (key: string) => void;
}

/** Something in the store that the catalog does not know. */
export interface Found extends ListedBlob {
  /** A blob of a file, a piece of an upload, what was derived from a file, or the unfinished multipart blobs of a key. */
  readonly kind: 'blob' | 'piece' | 'derived' | 'multipart';
  readonly id: string;
}

/** What a deep sweep did. */
export interface DeepSweepReport {
  /** Number of items checked. */
  listed: number;
  found: number;
  removed: number;
  /** What could not be removed. */
  readonly failures: SweepFailure[];
}

const PAGE = 500;
const LEASE_MS = 120_000;
/** Interval between two requests for the lease while another process sweeps, in milliseconds. */
const LEASE_WAIT_MS = 1_000;

/**
 * Removes data from the store that belongs to no file, upload or reservation. For operators: unlike {@link sweep} it
 * lists the whole store.
 *
 * Checks only keys in the format of the service, and only items older than the grace time. Removes an item only if two
 * checks, a grace time apart, find its id unknown to the catalog. The second check runs under the lease of the sweeper.
 *
 * @throws NotProven if the catalog may belong to another store
 */
export async function deepSweep(
  context: SweepContext,
  options: DeepSweepOptions,
  signal: AbortSignal,
): Promise<DeepSweepReport> {
  await assertPaired(context, signal);
  return new DeepSweep(context, options, signal).run();
}

class DeepSweep {
  readonly #context: SweepContext;
  readonly #options: DeepSweepOptions;
  readonly #signal: AbortSignal;
  readonly #look: Pace;
  readonly #delete: Pace;
  readonly #report: DeepSweepReport = { listed: 0, found: 0, removed: 0, failures: [] };
  /** Items found, by page, and when the catalog was first asked about them. */
  readonly #pages: { readonly found: readonly Found[]; readonly askedAt: number; readonly last: string }[] =
    [];

  constructor(context: SweepContext, options: DeepSweepOptions, signal: AbortSignal) {
    this.#context = context;
    this.#options = options;
    this.#signal = signal;
    this.#look = paceOf(options.ratePerSecond);
    this.#delete = paceOf(options.deletionsPerSecond);
  }

  async run(): Promise<DeepSweepReport> {
    const { store } = this.#context;
    for (const [kind, prefix] of [
      ['blob', 'assets/'],
      ['piece', 'uploads/'],
      ['derived', DERIVED_PREFIX],
    ] as const) {
      await this.#search(kind, prefix, (page) => store.listBlobs(page, { signal: this.#signal }));
    }
    await this.#search('multipart', 'assets/', (page) =>
      store.listMultiparts(page, { signal: this.#signal }),
    );
    while (this.#pages.length > 0) await this.#removeOldest();
    return this.#report;
  }

  async #search(
    kind: Found['kind'],
    prefix: string,
    list: (page: { prefix: string; after?: string; limit: number }) => Promise<readonly ListedBlob[]>,
  ): Promise<void> {
    // Keys of blobs sort before keys of pieces. There are so few unfinished blobs that all are read.
    let after = kind === 'multipart' ? undefined : this.#options.after;
    let earlier: readonly string[] = [];
    for (;;) {
      const page = await list({ prefix, limit: PAGE, ...(after !== undefined && { after }) });
      await this.#look(page.length, this.#signal);
      const oldest = Date.now() - this.#options.graceMs;
      const old = page
        .flatMap((one) => toFound(kind, one) ?? [])
        .filter((one) => one.modifyTime.getTime() < oldest);
      this.#report.listed += old.length;
      const ids = [...new Set(old.map(({ id }) => id))];
      const unknown = await unknownIds(this.#context, ids, isOfFile(kind), this.#signal);
      const window = [...earlier, ...ids.map((id) => (unknown.has(id) ? '' : id))];
      if (kind === 'blob' && unknown.size > 0 && window.every((id) => id === ''))
        throw noneKnown(window.length);
      earlier = ids.map((id) => (unknown.has(id) ? '' : id));
      after = page.at(-1)?.key;
      if (after !== undefined)
        await this.#keep(
          old.filter(({ id }) => unknown.has(id)),
          kind,
          after,
        );
      if (page.length < PAGE || after === undefined) return;
    }
  }

  /** Keeps items until their grace time has passed, and removes those that are due. */
  async #keep(found: readonly Found[], kind: Found['kind'], last: string): Promise<void> {
    this.#report.found += found.length;
    for (const one of found) this.#options.onFound(one);
    if (this.#options.dryRun) return void (kind !== 'multipart' && this.#options.onDone(last));
    this.#pages.push({ found, askedAt: Date.now(), last: kind === 'multipart' ? '' : last });
    while (this.#pages.length > 0 && this.#waitOf(this.#pages[0]!) <= 0) await this.#removeOldest();
  }

  #waitOf({ found, askedAt }: { readonly found: readonly Found[]; readonly askedAt: number }): number {
    return found.length === 0 ? 0 : askedAt + this.#options.graceMs - Date.now();
  }

  async #removeOldest(): Promise<void> {
    const page = this.#pages.shift()!;
    const wait = this.#waitOf(page);
    if (wait > 0) await sleep(wait, undefined, { signal: this.#signal });
    if (page.found.length > 0) await this.#underLease((signal) => this.#remove(page.found, signal));
    if (page.last !== '') this.#options.onDone(page.last);
  }

  async #underLease(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const lease = { name: 'sweep', holder: this.#options.holder, ttlMs: LEASE_MS };
    const run = (signal: AbortSignal) => work(signal).then(() => true as const);
    while (!(await underLease(this.#context.catalog, lease, this.#signal, run))) {
      await sleep(LEASE_WAIT_MS, undefined, { signal: this.#signal });
    }
  }

  async #remove(found: readonly Found[], signal: AbortSignal): Promise<void> {
    const { store } = this.#context;
    for (const kind of ['blob', 'piece', 'derived', 'multipart'] as const) {
      const some = found.filter((one) => one.kind === kind);
      const ids = [...new Set(some.map(({ id }) => id))];
      const unknown = await unknownIds(this.#context, ids, isOfFile(kind), signal);
      for (const one of some.filter(({ id }) => unknown.has(id))) {
        await this.#delete(1, signal);
        try {
          if (kind !== 'piece') await store.abortMultiparts(one.key, { signal });
          if (kind !== 'multipart') await store.delete(one.key, { signal });
          this.#report.removed++;
          this.#options.onRemoved(one);
        } catch (error) {
          signal.throwIfAborted();
          this.#report.failures.push({ kind: kind === 'piece' ? 'upload' : 'id', id: one.id, error });
          // Rejects if the store is down.
          await sizeOfBytes(store, PROBE_ID, { signal });
        }
      }
    }
  }
}

/** The item of a key; undefined for a key in another format, which may belong to somebody else. */
function toFound(kind: Found['kind'], listed: ListedBlob): Found | undefined {
  const id =
    kind === 'derived'
      ? derivedOf(listed.key)?.fileId
      : idOfKey(kind === 'piece' ? 'piece' : 'blob', listed.key);
  return id === undefined ? undefined : { ...listed, kind, id };
}

/** True for what a file has for as long as it has a record. */
function isOfFile(kind: Found['kind']): boolean {
  return kind === 'blob' || kind === 'derived';
}

function noneKnown(count: number): NotProven {
  return new NotProven(
    `the catalog knows none of ${count} blobs that stand together in the store: is it the catalog of this store? Nothing of ` +
      'these was removed. If it is, start again without --after',
  );
}
