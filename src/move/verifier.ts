import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FileCatalog, FileRecord } from '../catalog/file-catalog.ts';
import { underLease } from '../files/lease.ts';
import type { SweepContext } from '../files/sweep/run.ts';
import { verify, verifyState, type VerifyState } from './verify.ts';

/** Name of the state of the running pass in the catalog. */
const PASS_STATE = 'verify-pass';
/** Name of the state of the last finished pass. */
const LAST_STATE = 'verify-last-pass';

/** The state of the running pass, or of the one that ended last, if any. */
export function verifyPass(catalog: Pick<FileCatalog, 'legacy'>, signal: AbortSignal) {
  return verifyState(catalog, signal, PASS_STATE);
}

/** The state of the last pass that ended, if any. */
export function lastPass(catalog: Pick<FileCatalog, 'legacy'>, signal: AbortSignal) {
  return verifyState(catalog, signal, LAST_STATE);
}

/** Records per step. The state is kept after each, so that a restart reads few files twice. */
const PAGE = 20;

/** A step that took longer, in milliseconds, is followed by one of a single record: health must not learn late. */
const LONG_STEP_MS = 30_000;

const LEASE_MS = 120_000;
const DAY_MS = 86_400_000;

/** Maximum time between two attempts to get the lease, in milliseconds. */
const MAX_ATTEMPT_MS = 60_000;

/** Pause between two passes, in milliseconds: an empty catalog is done at once. */
const MIN_PASS_MS = 1_000;

/**
 * Reads every file once in each period, continuously, in one replica at a time. The state of a pass is in the catalog,
 * so that another replica continues it.
 *
 * Ids are random, so the position of an id among all ids says how much of a pass is done: files are read at a steady
 * rate without knowing their number. After a pause, such as a restart, the pass catches up.
 */
export class Verifier {
  readonly #context: SweepContext;
  readonly #periodMs: number;
  readonly #abort = new AbortController();
  readonly #running: Promise<void>;

  /** @param periodMs - time in which every file is read once, in milliseconds */
  constructor(context: SweepContext, periodMs: number) {
    this.#context = context;
    this.#periodMs = periodMs;
    this.#running = this.#run();
  }

  /** Ends the running pass; the next process continues it. */
  async close(): Promise<void> {
    this.#abort.abort(new Error('the service stops'));
    await this.#running;
  }

  /** Resolves if the last passes found no damage and read every file; otherwise rejects with what they found. */
  async check(call: { readonly signal: AbortSignal }): Promise<void> {
    const { catalog } = this.#context;
    const [now, last] = await Promise.all([verifyPass(catalog, call.signal), lastPass(catalog, call.signal)]);
    const trouble = troubleOf(now, last);
    if (trouble !== undefined) throw new Error(trouble);
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    const { log, catalog } = this.#context;
    const lease = { name: 'verify', holder: randomUUID(), ttlMs: LEASE_MS };
    let isDown = false;
    while (!signal.aborted) {
      try {
        await underLease(catalog, lease, signal, (held) => this.#passes(held));
        isDown = false;
      } catch (error) {
        if (signal.aborted) return;
        if (!isDown) log.warn({ err: error }, 'the verification was interrupted; it continues later');
        isDown = true;
      }
      await pause(Math.min(MAX_ATTEMPT_MS, Math.max(this.#periodMs / 10, MIN_PASS_MS)), signal);
    }
  }

  /** Runs passes until the signal is aborted. */
  async #passes(signal: AbortSignal): Promise<never> {
    for (;;) {
      const started = Date.now();
      await this.#keepFinished(await this.#pass(signal), signal);
      // A pass ends before its period if no id is close to the last possible one.
      const startTime = (await verifyState(this.#context.catalog, signal, PASS_STATE))!.startTime;
      await waitUntil(Math.max(started + MIN_PASS_MS, Date.parse(startTime) + this.#periodMs), signal);
    }
  }

  async #pass(signal: AbortSignal): Promise<VerifyState> {
    const { log, catalog } = this.#context;
    const kept = await verifyState(catalog, signal, PASS_STATE);
    const isNew = kept?.state !== 'running';
    const startedAt = isNew ? Date.now() : Date.parse(kept.startTime);
    if (isNew) log.info({ period_seconds: this.#periodMs / 1_000 }, 'a verification of all files starts');
    const pace = ({ id }: FileRecord, until: AbortSignal) =>
      waitUntil(startedAt + positionOf(id) * this.#periodMs, until);
    let stepAt = 0;
    const pageSize = () => {
      const tookMs = Date.now() - stepAt;
      stepAt = Date.now();
      return tookMs > LONG_STEP_MS ? 1 : PAGE;
    };
    return verify(
      this.#context,
      {
        ...{ sample: 100, since: undefined, restart: false, stateName: PASS_STATE, pageSize },
        beforeFile: pace,
        onDamaged: (id, reason) =>
          log.error({ file_id: id, reason }, 'the bytes of this file do not match its record'),
      },
      signal,
    );
  }

  /** Keeps the result of a finished pass while the next one runs, and logs it. */
  async #keepFinished(state: VerifyState, signal: AbortSignal): Promise<void> {
    const { log, catalog } = this.#context;
    const damaged = state.damaged.map((one) => ({ ...one }));
    await catalog.legacy.putState(LAST_STATE, { ...state, damaged }, { signal });
    const { checked, bytes, unknown, notMoved, damagedCount, startTime, endTime } = state;
    const counts = { checked, bytes, damaged: damagedCount, unknown, not_moved: notMoved };
    log.info({ ...counts, start_time: startTime, end_time: endTime }, 'a verification of all files ended');
    const tookMs = Date.parse(endTime) - Date.parse(startTime);
    if (tookMs > this.#periodMs * 1.1) {
      log.warn(
        { took_seconds: Math.round(tookMs / 1_000), period_seconds: this.#periodMs / 1_000 },
        'the verification took longer than ASSET_VERIFY_EVERY: set a longer time',
      );
    }
  }
}

/** What an operator must know about the passes; undefined if nothing. */
export function troubleOf(now: VerifyState | undefined, last: VerifyState | undefined): string | undefined {
  const running = now?.state === 'running' ? now : undefined;
  const before = last?.damaged.filter(({ id }) => running === undefined || id > running.cursor) ?? [];
  // The list of a pass has only the first ones.
  const unlisted = last ? last.damagedCount - last.damaged.length : 0;
  const damaged = (running?.damagedCount ?? 0) + before.length + unlisted;
  const unknown = Math.max(running?.unknown ?? 0, last?.unknown ?? 0);
  if (damaged === 0 && unknown === 0) return undefined;
  const found = [
    ...(damaged > 0 ? [`the bytes of ${damaged} files do not match their records; the log says which`] : []),
    ...(unknown > 0 ? [`the store gave no answer about ${unknown} files`] : []),
  ];
  const full =
    last === undefined ? 'there was no full pass yet' : `the last full pass ended at ${last.endTime}`;
  return `verification: ${found.join('; ')}; ${full}`;
}

const DIGITS = '0123456789abcdefghijklmnopqrstuvwxyz';

/** Position of an id among all possible ids in their order, from 0 to 1. */
export function positionOf(id: string): number {
  let [position, unit] = [0, 1];
  for (const character of id.slice(0, 8)) {
    unit /= DIGITS.length;
    position += Math.max(0, DIGITS.indexOf(character)) * unit;
  }
  return position;
}

/** Waits until a time. A timer of Node.js takes at most 24 days. */
async function waitUntil(time: number, signal: AbortSignal): Promise<void> {
  for (let left = time - Date.now(); left > 0; left = time - Date.now()) {
    await sleep(Math.min(left, DAY_MS), undefined, { signal });
  }
}

/** Waits; ends early, without an error, when the signal is aborted. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}
