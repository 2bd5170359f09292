import { randomUUID } from 'node:crypto';
import pLimit from 'p-limit';
import { causeText } from '../errors/setup-fault.ts';
import { reached } from '../system/crash-points.ts';
import { exclusively, type StepHolder } from './exclusive.ts';
import { findNotMoved, moveRefusals, sampleOldKeys, verifyRefusals, wrongBucket } from './lock-checks.ts';
import type { LockableSystem } from './lock-journal.ts';
import { SERVICE_PREFIX } from './proofs.ts';
import { judge, type JudgedObject } from './purge-plan.ts';
import { CopyProofs } from './purge-proof.ts';
import { PURGE, type PurgeState, type PurgeStatus } from './purge-state.ts';
import { StepRefused, type Refusal } from './refused.ts';
import { moveStatus } from './status.ts';
import { Throttle } from './throttle.ts';

/** One line of the report: the result for one object (in a dry run: the expected result). */
export interface PurgeLine {
  readonly key: string;
  readonly status: PurgeStatus;
  /** Ids of the files that it belongs to. */
  readonly ids: readonly string[];
  /** What was compared with the record: the `sha256` of the bytes, or only `name` and size. */
  readonly proof: 'sha256' | 'name' | '';
}

/** Options of a purge. */
export interface PurgeOptions extends StepHolder {
  readonly by: string;
  readonly dryRun: boolean;
  /** Maximum share of the listed objects that may be deleted, in percent. */
  readonly maxPercent: number;
  /** Maximum age of the verification, in milliseconds. */
  readonly maxAgeMs: number;
  /** True to read every copy again before its original is deleted. */
  readonly full: boolean;
  /** Maximum number of objects deleted per second; 0 for no limit. */
  readonly rate: number;
  readonly onLine?: (line: PurgeLine) => void;
  readonly onProgress?: (state: PurgeState) => void;
}

const CONCURRENCY = 8;

/** Maximum number of keys in a message. */
const SHOWN = 5;

/**
 * Deletes the originals of moved files, and their thumbs, from the old bucket. Deletes an object only if the copy of
 * its file is proven: the store has it with the size of the record, it was verified after the move, and the original
 * has the SHA-256 of the record. Everything else stays. May be repeated, also after a crash.
 *
 * @throws StepRefused before anything was deleted
 */
export function purge(
  system: LockableSystem,
  options: PurgeOptions,
  signal: AbortSignal,
): Promise<PurgeState> {
  return exclusively(system.catalog, PURGE, options, signal, async (held) => {
    await check(system, options, held);
    await removeLeftovers(system, held);
    const sentinel = `${SERVICE_PREFIX}sentinel-${randomUUID()}`;
    await system.bucketAccess.put(sentinel, Buffer.from('asset-service'), { signal: held });
    try {
      return await new Purge(system, options, sentinel, held).run();
    } finally {
      await system.bucketAccess.delete(sentinel, undefined, { signal: AbortSignal.timeout(10_000) });
    }
  });
}

/** Removes objects that a killed run of the service left in the old bucket. */
async function removeLeftovers({ bucket, bucketAccess }: LockableSystem, signal: AbortSignal): Promise<void> {
  const page = await bucket.reader.list(SERVICE_PREFIX, { signal });
  for (const { key } of page.filter((one) => one.key.startsWith(SERVICE_PREFIX)))
    await bucketAccess.delete(key, undefined, { signal });
}

async function check(system: LockableSystem, options: PurgeOptions, signal: AbortSignal): Promise<void> {
  const status = await moveStatus(system.catalog);
  const isLocked = status.lock?.phase === 'locked';
  const notLocked: Refusal = {
    reason: 'NOT_LOCKED',
    text: 'the old system is not locked, so that others may still need or write originals: run "asset-service legacy lock --enforce"',
  };
  const { isWrongBucket } = await sampleOldKeys(system, status, signal);
  const [first, ...more] = [
    ...(isLocked || options.dryRun ? [] : [notLocked]),
    ...(isWrongBucket ? [wrongBucket(system)] : []),
    ...moveRefusals(status, await findNotMoved(system.catalog, signal)),
    ...verifyRefusals(status, options.maxAgeMs),
  ];
  if (first) throw new StepRefused(first, ...more);
}

/** One run. */
class Purge {
  readonly #system: LockableSystem;
  readonly #options: PurgeOptions;
  readonly #sentinel: string;
  readonly #signal: AbortSignal;
  readonly #throttle = new Throttle();
  readonly #proofs: CopyProofs;
  #state: PurgeState;

  constructor(system: LockableSystem, options: PurgeOptions, sentinel: string, signal: AbortSignal) {
    [this.#system, this.#options, this.#sentinel, this.#signal] = [system, options, sentinel, signal];
    this.#throttle.setRate(options.rate);
    this.#proofs = new CopyProofs(system, options.full, signal);
    this.#state = {
      ...{ state: 'running', by: options.by, startTime: new Date().toISOString(), endTime: '' },
      ...{ listed: 0, planned: 0, counts: {}, deletedBytes: 0, lastError: '' },
    };
  }

  async run(): Promise<PurgeState> {
    await this.#plan();
    if (this.#options.dryRun) return this.#state;
    try {
      await this.#keep({ counts: {} });
      reached('purge.planned');
      await this.#eachPage(async (judged) => {
        this.#proofs.clear();
        const limit = pLimit(CONCURRENCY);
        const lines = await Promise.all(judged.map((one) => limit(() => this.#remove(one))));
        await this.#keep({ counts: this.#added(lines) });
      });
      return await this.#keep({ state: 'done', endTime: new Date().toISOString() });
    } catch (error) {
      const lastError = causeText(error);
      await this.#keep({ state: 'stopped', lastError }, AbortSignal.timeout(5_000)).catch(() => undefined);
      throw error;
    }
  }

  /** Judges every object and deletes none. Throws StepRefused if the purge must not start. */
  async #plan(): Promise<void> {
    const { dryRun, maxPercent, onLine } = this.#options;
    const unproven: string[] = [];
    const seen = await this.#eachPage(async (judged) => {
      const lines = judged.map((one) => lineOf(one, one.status));
      const without = lines.filter(({ status }) => status === 'unproven').map(({ key }) => key);
      unproven.push(...without.slice(0, SHOWN - unproven.length));
      if (dryRun) for (const line of lines) onLine?.(line);
      this.#state = { ...this.#state, listed: this.#state.listed + lines.length, counts: this.#added(lines) };
      this.#options.onProgress?.(this.#state);
    });
    const { original = 0, thumb = 0, unproven: withoutCopy = 0 } = this.#state.counts;
    const planned = original + thumb;
    this.#state = { ...this.#state, planned };
    if (!seen) {
      const text = `the list of the bucket does not show the object ${this.#sentinel} that was just stored there: it cannot be relied on, and nothing was deleted`;
      throw new StepRefused({ reason: 'BAD_LISTING', text });
    }
    if (withoutCopy > 0) {
      const some = unproven.join(', ');
      const text = `the store of the service has no copy of the right size for ${withoutCopy} objects (${some}): run "asset-service verify" and mend what it finds; nothing was deleted`;
      throw new StepRefused({ reason: 'UNPROVEN', text });
    }
    const percent = this.#state.listed === 0 ? 0 : (planned * 100) / this.#state.listed;
    if (percent > maxPercent && !dryRun) {
      const text = `${planned} of ${this.#state.listed} objects would be deleted, which is ${percent.toFixed(1)} percent and more than ${maxPercent}: if that is meant, give --max-purge ${Math.ceil(percent)}; nothing was deleted`;
      throw new StepRefused({ reason: 'ABOVE_MAX_PURGE', text });
    }
  }

  /** Lists the bucket and judges its objects, page by page. Resolves with whether the list showed the sentinel. */
  async #eachPage(work: (judged: readonly JudgedObject[]) => Promise<void>): Promise<boolean> {
    let seen = false;
    for (let after = ''; ;) {
      this.#signal.throwIfAborted();
      const page = await this.#system.bucket.reader.list(after, { signal: this.#signal });
      if (page.length === 0) return seen;
      seen ||= page.some(({ key }) => key === this.#sentinel);
      await work(await judge(this.#system, page, this.#signal));
      after = page.at(-1)!.key;
    }
  }

  /** Proves the copy of an object, then deletes the object. */
  async #remove(judged: JudgedObject): Promise<PurgeLine> {
    const { object, status } = judged;
    if (status !== 'original' && status !== 'thumb') return this.#told(lineOf(judged, status));
    const proof = await this.#proofs.of(judged);
    if (proof.outcome !== 'proven') return this.#told(lineOf(judged, proof.outcome));
    await this.#throttle.next(this.#signal);
    // The ETag of the bytes that were read: an original that has changed since is not deleted.
    const etag = status === 'original' ? proof.etag : object.etag;
    const isGone = await this.#system.bucketAccess.delete(object.key, etag, { signal: this.#signal });
    if (!isGone) return this.#told(lineOf(judged, 'differs'));
    reached('purge.object-deleted', { key: object.key });
    this.#state = { ...this.#state, deletedBytes: this.#state.deletedBytes + object.sizeBytes };
    return this.#told({ ...lineOf(judged, status), proof: 'sha256' });
  }

  #told(line: PurgeLine): PurgeLine {
    this.#options.onLine?.(line);
    return line;
  }

  #added(lines: readonly PurgeLine[]): PurgeState['counts'] {
    const sums = new Map(Object.entries(this.#state.counts) as [PurgeStatus, number][]);
    for (const { status } of lines) sums.set(status, (sums.get(status) ?? 0) + 1);
    return Object.fromEntries(sums);
  }

  async #keep(change: Partial<PurgeState>, signal = this.#signal): Promise<PurgeState> {
    this.#state = { ...this.#state, ...change };
    await this.#system.catalog.legacy.putState(PURGE, this.#state, { signal });
    this.#options.onProgress?.(this.#state);
    return this.#state;
  }
}

function lineOf({ object, files }: JudgedObject, status: PurgeStatus): PurgeLine {
  const proof = status === 'original' || status === 'thumb' ? 'name' : '';
  return { key: object.key, status, ids: files.map(({ id }) => id), proof };
}
