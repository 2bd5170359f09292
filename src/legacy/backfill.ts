import { setTimeout as sleep } from 'node:timers/promises';
import pLimit from 'p-limit';
import type { LegacyRecord } from '../catalog/legacy-records.ts';
import { causeText } from '../errors/setup-fault.ts';
import { underFreeLease } from '../files/lease.ts';
import type { OldSystem } from './old-system.ts';
import {
  acknowledgements,
  BACKFILL,
  backfillControl,
  backfillState,
  controlBackfill,
  newBackfill,
  type Acknowledgement,
  type BackfillState,
} from './backfill-state.ts';
import { OldBucketError } from './check.ts';
import { moveFile, type Moved, type MoveOutcome, type MoveTools } from './move-file.ts';
import { BytesCopy, type CopyTools } from './copy-bytes.ts';
import { writeBefore } from './undo-journal.ts';
import { Concurrency } from './concurrency.ts';
import { Throttle } from './throttle.ts';

/** Options of a backfill. */
export interface BackfillOptions extends Pick<CopyTools, 'budget' | 'partSizeBytes'> {
  /** True to determine the result for every file, and to write nothing. */
  readonly dryRun: boolean;
  /** Unique to this process. */
  readonly holder: string;
  /** Maximum number of concurrently moved files. The run begins with one (see {@link Concurrency}). */
  readonly workers: number;
  /** Maximum number of files per second; 0 for no limit, undefined for the rate of the previous run. */
  readonly rate: number | undefined;
  /** Called for every file that could not be moved, or whose response headers differ from the old ones. */
  readonly onTrouble?: (id: string, moved: Moved) => void;
  /** Called once if the store cannot copy objects itself although both buckets are on one server. */
  readonly onStreaming?: () => void;
  readonly onProgress?: (state: BackfillState) => void;
  /** Time after which another process may take over from a killed one, in milliseconds; default 10,000. */
  readonly leaseMs?: number;
}

const LEASE_MS = 10_000;
/** Records per step. After a crash the next run repeats at most one step. */
const PAGE = 100;
const CONTROL_EVERY_MS = 500;
/** Number of consecutive unreadable files after which the old bucket counts as down. */
const MAX_UNREADABLE = 20;

const oldBucketDown = () => new OldBucketError(new Error(`it did not give ${MAX_UNREADABLE} files in a row`));

/**
 * Moves the bytes of all old files to the store of the service. Continues at the position of an interrupted run. May be
 * repeated: moved files stay unchanged.
 *
 * @returns undefined, without doing anything, while another process runs it
 * @throws the error that stopped the run; the state has its message, and the next run continues
 */
export async function backfill(
  system: OldSystem,
  options: BackfillOptions,
  signal: AbortSignal,
): Promise<BackfillState | undefined> {
  if (options.dryRun)
    return new Backfill(
      system,
      options,
      await newBackfill(system.catalog.legacy, options, 0, signal),
      signal,
    ).run();
  const { holder, leaseMs = LEASE_MS } = options;
  const lease = { name: BACKFILL, holder, ttlMs: leaseMs };
  return underFreeLease(system.catalog, lease, signal, async (held) => {
    const state = await goOn(system, options, held);
    return new Backfill(system, options, state, held).run();
  });
}

async function goOn(
  system: OldSystem,
  options: BackfillOptions,
  signal: AbortSignal,
): Promise<BackfillState> {
  const kept = await backfillState(system.catalog.legacy, { signal });
  await controlBackfill(system.catalog, { cancelled: false, paused: false, rate: null }, signal);
  if (kept === undefined || ['done', 'cancelled', 'undone'].includes(kept.state))
    return newBackfill(system.catalog.legacy, options, kept?.journal ?? 0, signal);
  return {
    ...kept,
    state: 'running',
    holder: options.holder,
    rate: options.rate ?? kept.rate,
    lastError: '',
  };
}

/** One run. */
class Backfill {
  readonly #system: OldSystem;
  readonly #options: BackfillOptions;
  readonly #signal: AbortSignal;
  readonly #throttle = new Throttle();
  readonly #concurrency: Concurrency;
  readonly #limit = pLimit(1);
  readonly #bytes: BytesCopy;
  #state: BackfillState;
  #acknowledged: Readonly<Record<string, Acknowledgement>> = {};
  #unreadable = 0;
  #cancelled = false;
  #underway = { files: 0, bytes: 0 };
  #controlledAt = 0;

  constructor(system: OldSystem, options: BackfillOptions, state: BackfillState, signal: AbortSignal) {
    [this.#system, this.#options, this.#state, this.#signal] = [system, options, state, signal];
    this.#throttle.setRate(state.rate);
    this.#concurrency = new Concurrency(options.workers);
    const { budget, partSizeBytes, onStreaming = () => undefined } = options;
    const { store, copier, bucket } = system;
    this.#bytes = new BytesCopy({ reader: bucket.reader, store, copier, budget, partSizeBytes, onStreaming });
  }

  async run(): Promise<BackfillState> {
    try {
      await this.#keep({});
      this.#acknowledged = await acknowledgements(this.#system.catalog.legacy, { signal: this.#signal });
      for (let isLast = false; !isLast && !this.#cancelled;) isLast = await this.#step();
      return await this.#keep({ state: this.#cancelled ? 'cancelled' : 'done', slowedBy: null });
    } catch (error) {
      const lastError = causeText(error);
      // If this fails too, the stored state still has the position.
      await this.#keep({ state: 'stopped', lastError, slowedBy: null }, AbortSignal.timeout(5_000)).catch(
        () => undefined,
      );
      throw error;
    }
  }

  /** Moves one page of files; true if it was the last. */
  async #step(): Promise<boolean> {
    const page = await this.#system.catalog.legacy.scan(this.#state.cursor, PAGE, { signal: this.#signal });
    await this.#noteBefore(page.filter(({ file }) => file.sha256 === undefined));
    this.#underway = { files: 0, bytes: 0 };
    const ended = new AbortController();
    const signal = AbortSignal.any([this.#signal, ended.signal]);
    // Waits for all files, because the lease must not be released while one is being moved.
    const results = await Promise.allSettled(
      page.map((record) =>
        this.#limit(() => this.#one(record, signal)).catch((error: unknown) => {
          ended.abort(error);
          throw error;
        }),
      ),
    );
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
    const outcomes = results.flatMap((result) => (result.status === 'fulfilled' ? (result.value ?? []) : []));
    // The next run repeats the whole page.
    if (this.#cancelled) return true;
    const counts = new Map(Object.entries(this.#state.counts) as [MoveOutcome, number][]);
    let { movedBytes, serverSide = 0, differing = 0 } = this.#state;
    for (const { outcome, way, differs, sizeBytes = 0 } of outcomes) {
      if (way === 'server-side') serverSide += 1;
      if (differs !== undefined) differing += 1;
      if (outcome !== 'gone') counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
      movedBytes += sizeBytes;
    }
    const cursor = page.at(-1)?.file.id ?? this.#state.cursor;
    await this.#keep({ cursor, counts: Object.fromEntries(counts), movedBytes, serverSide, differing });
    return page.length < PAGE;
  }

  /** Saves the records of a page in the undo journal before any of them is changed. */
  async #noteBefore(records: readonly LegacyRecord[]): Promise<void> {
    if (this.#options.dryRun || records.length === 0) return;
    const { journal = 0 } = this.#state;
    const { catalog, bucket } = this.#system;
    await writeBefore(catalog.legacy, journal, records, bucket.linkField, { signal: this.#signal });
    await this.#keep({ journal: journal + 1 });
  }

  async #one(record: LegacyRecord, signal: AbortSignal): Promise<Moved | undefined> {
    await this.#obey(signal);
    if (this.#cancelled) return undefined;
    signal.throwIfAborted();
    const { id, sha256 } = record.file;
    if (sha256 === undefined) await this.#throttle.next(signal);
    const times = this.#concurrency.begin();
    const onTime: MoveTools['onTime'] = (of, ms) => {
      this.#throttle.observe(of, ms);
      times.observe(of, ms);
    };
    const tools = { bytes: this.#bytes, dryRun: this.#options.dryRun, onTime };
    const moved = await moveFile(this.#system, record, tools, signal);
    if (sha256 === undefined) times.end();
    this.#limit.concurrency = this.#concurrency.current;
    this.#unreadable = moved.outcome === 'unreadable' ? this.#unreadable + 1 : 0;
    if (this.#unreadable >= MAX_UNREADABLE) throw oldBucketDown();
    this.#tellProgress(moved);
    if (moved.differs !== undefined) this.#options.onTrouble?.(id, moved);
    if (['moved', 'already', 'gone'].includes(moved.outcome)) return moved;
    if (id in this.#acknowledged) return { outcome: 'acknowledged' };
    this.#options.onTrouble?.(id, moved);
    return moved;
  }

  /** Reports progress including the current page, which the stored state does not count yet. */
  #tellProgress({ outcome, sizeBytes = 0 }: Moved): void {
    this.#underway.files += outcome === 'gone' ? 0 : 1;
    this.#underway.bytes += sizeBytes;
    const { counts, movedBytes } = this.#state;
    const moved = (counts.moved ?? 0) + this.#underway.files;
    this.#options.onProgress?.({
      ...this.#state,
      ...{ counts: { ...counts, moved }, movedBytes: movedBytes + this.#underway.bytes },
      slowedBy: this.#throttle.slowedBy ?? null,
      workers: this.#concurrency.current,
    });
  }

  /** Executes the operator's request; waits during a pause. */
  async #obey(signal: AbortSignal): Promise<void> {
    if (this.#options.dryRun) return;
    while (Date.now() >= this.#controlledAt && !this.#cancelled) {
      this.#controlledAt = Date.now() + CONTROL_EVERY_MS;
      const { paused, cancelled, rate } = await backfillControl(this.#system.catalog.legacy, { signal });
      this.#cancelled = cancelled;
      if (rate !== null) this.#throttle.setRate(rate);
      const state = paused && !cancelled ? 'paused' : 'running';
      if (state !== this.#state.state || (rate ?? this.#state.rate) !== this.#state.rate) {
        await this.#keep({ state, rate: rate ?? this.#state.rate });
      }
      if (state === 'running') return;
      await sleep(CONTROL_EVERY_MS, undefined, { signal });
      this.#controlledAt = 0;
    }
    // Other workers wait until the one that noticed the pause ends it.
    while (this.#state.state === 'paused' && !this.#cancelled)
      await sleep(CONTROL_EVERY_MS / 5, undefined, { signal });
  }

  async #keep(change: Partial<BackfillState>, signal = this.#signal): Promise<BackfillState> {
    const slowedBy = this.#throttle.slowedBy ?? null;
    const workers = this.#concurrency.current;
    this.#state = { ...this.#state, slowedBy, workers, ...change, updateTime: new Date().toISOString() };
    if (!this.#options.dryRun)
      await this.#system.catalog.legacy.putState(BACKFILL, { ...this.#state }, { signal });
    this.#options.onProgress?.(this.#state);
    return this.#state;
  }
}
