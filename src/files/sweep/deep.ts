import { setTimeout as sleep } from 'node:timers/promises';
import type { ListedBlob } from '../../storage/blob-store.ts';
import { idOfKey, sizeOfBytes } from '../bytes.ts';
import { underLease } from '../lease.ts';
import { paceOf, type Pace } from '../../system/rate.ts';
import { assertPaired, NotProven, unknownIds } from './proof.ts';
import { PROBE_ID, type SweepContext, type SweepFailure } from './run.ts';

/** What a deep sweep is to do. */
export interface DeepSweepOptions {
  /** True to find and remove nothing. */
  readonly dryRun: boolean;
  /** How old something must be, and how long the catalog must not know it, before it is removed; in milliseconds. */
  readonly graceMs: number;
  /** Greatest number of blobs that are looked at in a second. */
  readonly ratePerSecond: number;
  readonly deletionsPerSecond: number;
  /** Key behind which to go on; from the first where left out. */
  readonly after?: string;
  /** Name of this process for the lease. */
  readonly holder: string;
  /** Is told of everything that is found and, unless it is a dry run, of everything that was removed. */
  readonly onFound: (found: Found) => void;
  readonly onRemoved: (found: Found) => void;
  /** Is told where another run could go on: all up to this key is done. */
  readonly onDone: (key: string) => void;
}

/** Something in the store that the catalog does not know. */
export interface Found extends ListedBlob {
  /** A blob of a file, a piece of an upload, or all that is unfinished under the key. */
  readonly kind: 'blob' | 'piece' | 'multipart';
  readonly id: string;
}

/** What a deep sweep did. */
export interface DeepSweepReport {
  /** Things of the service that were looked at. */
  listed: number;
  found: number;
  removed: number;
  /** What could not be removed. */
  readonly failures: SweepFailure[];
}

const PAGE = 500;
const LEASE_MS = 120_000;
/** How long to wait for the sweep of another process, before it is asked again, in milliseconds. */
const LEASE_WAIT_MS = 1_000;

/**
 * Finds what lies in the store and is of no file, no upload and no reservation, and removes it. For work by hand: unlike
 * {@link sweep} it reads all keys of the store.
 *
 * Only keys that the service itself gives are looked at, and only what is older than the grace time. The catalog has to say
 * twice, a grace time apart, that it does not know the id; the second time under the lease of the sweeper.
 *
 * @throws NotProven if the catalog seems not to be that of the store
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
  /** What was found, a page at a time, and when the catalog was asked. */
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
    // Keys of blobs stand before those of pieces; what is unfinished is so little that it is read as a whole.
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
      const unknown = await unknownIds(this.#context, ids, kind === 'blob', this.#signal);
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

  /** Keeps what was found until its grace time is over, and removes what is due meanwhile. */
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
    for (const kind of ['blob', 'piece', 'multipart'] as const) {
      const some = found.filter((one) => one.kind === kind);
      const ids = [...new Set(some.map(({ id }) => id))];
      const unknown = await unknownIds(this.#context, ids, kind === 'blob', signal);
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
          // If it is the store that is down, this rejects.
          await sizeOfBytes(store, PROBE_ID, { signal });
        }
      }
    }
  }
}

/** What a key of the service stands for; undefined for any other, which may be an object of somebody else. */
function toFound(kind: Found['kind'], listed: ListedBlob): Found | undefined {
  const id = idOfKey(kind === 'piece' ? 'piece' : 'blob', listed.key);
  return id === undefined ? undefined : { ...listed, kind, id };
}

function noneKnown(count: number): NotProven {
  return new NotProven(
    `the catalog knows none of ${count} blobs that stand together in the store: is it the catalog of this store? Nothing of ` +
      'these was removed. If it is, start again without --after',
  );
}
