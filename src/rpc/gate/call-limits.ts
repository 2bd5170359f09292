import { BurstyRateLimiter, RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { rateLimited, tooManyUploads, type CallLimit } from '../../errors/limits.ts';

/** Limits of one caller; 0 for no limit. */
export interface CallBounds {
  readonly readsPerSecond: number;
  readonly writesPerSecond: number;
  /** Calls without or with a wrong identity, per second and address or person. */
  readonly refusalsPerSecond: number;
  readonly uploads: number;
  readonly downloads: number;
  readonly watches: number;
}

/** What callers may have running at once. */
export type Running = 'uploads' | 'downloads' | 'watches';

/** Calls of this many seconds may come in one burst per {@link BURST_WINDOW_SECONDS}. */
const BURST_SECONDS = 5;
const BURST_WINDOW_SECONDS = 60;

/** Retry delay while a caller's own downloads or watches are running, in milliseconds; only the caller knows how long they take. */
const BUSY_RETRY_MS = 1000;

/** Number of persons with bad tokens that one principal may send at the full rate of refusals. */
const PERSONS = 10;

type Counted = 'reads' | 'writes' | 'refusals' | 'personRefusals';

/** Counts the calls of each caller in this process. */
export class CallLimits {
  readonly #rates: Readonly<Record<Counted, Rate | undefined>>;
  readonly #bounds: CallBounds;
  readonly #inHand: Readonly<Record<Running, Map<string, number>>> = {
    uploads: new Map(),
    downloads: new Map(),
    watches: new Map(),
  };

  constructor(bounds: CallBounds) {
    this.#bounds = bounds;
    this.#rates = {
      reads: rateOf(bounds.readsPerSecond),
      writes: rateOf(bounds.writesPerSecond),
      refusals: rateOf(bounds.refusalsPerSecond),
      personRefusals: rateOf(bounds.refusalsPerSecond * PERSONS),
    };
  }

  /**
   * Counts a call.
   *
   * @throws AssetError RATE_LIMITED with the time until the next call is accepted
   */
  async count(kind: 'reads' | 'writes' | 'refusals', caller: string): Promise<void> {
    await this.#consume(kind, caller, kind);
  }

  /**
   * Throws RATE_LIMITED if a key has had too many refusals.
   *
   * @param who - name for the error message
   */
  async checkRefusals(key: string, who: string): Promise<void> {
    await this.#check('refusals', key, who);
  }

  /**
   * Counts a refusal because of an end user's credential. Each person has a limit, and all persons of one principal
   * together.
   *
   * @throws AssetError RATE_LIMITED if there were too many
   */
  async countPersonRefusal(principal: string, person: string): Promise<void> {
    // First, because each counted person takes memory.
    await this.#check('personRefusals', principal, 'the persons that this service acts for');
    await this.#consume('refusals', `person ${person} of ${principal}`, 'refusals of this person');
    await this.#consume('personRefusals', principal, 'refusals of persons');
  }

  async #check(kind: Counted, key: string, who: string): Promise<void> {
    const rate = this.#rates[kind];
    if (rate === undefined) return;
    const seen = await rate.burst.get(key);
    const now = await rate.steady.get(key);
    const over = (res: RateLimiterRes | null, points: number) => res !== null && res.consumedPoints >= points;
    if (over(seen, rate.burst.points) && over(now, rate.steady.points)) {
      throw rateLimited(limitOf(kind), `too many calls of ${who} were refused`, now!.msBeforeNext);
    }
  }

  async #consume(kind: Counted, key: string, what: string): Promise<void> {
    try {
      await this.#rates[kind]?.consume(key);
    } catch (refused) {
      if (!(refused instanceof RateLimiterRes)) throw refused;
      throw rateLimited(
        limitOf(kind),
        `more ${what} in a second than a caller may make`,
        refused.msBeforeNext,
      );
    }
  }

  /**
   * Takes one of a caller's places. Returns a function that gives it back and may be called more than once.
   *
   * @throws AssetError TOO_MANY_UPLOADS, or RATE_LIMITED for downloads and watches
   */
  enter(kind: Running, caller: string): () => void {
    const inHand = this.#inHand[kind];
    const mine = inHand.get(caller) ?? 0;
    const bound = this.#bounds[kind];
    if (bound > 0 && mine >= bound) {
      if (kind === 'uploads') throw tooManyUploads(`you have ${mine} in progress, as many as one caller may`);
      throw rateLimited(
        kind,
        `you have ${mine} ${kind} in progress, as many as one caller may`,
        BUSY_RETRY_MS,
      );
    }
    inHand.set(caller, mine + 1);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      const left = inHand.get(caller)! - 1;
      if (left === 0) inHand.delete(caller);
      else inHand.set(caller, left);
    };
  }
}

class Rate extends BurstyRateLimiter {
  readonly steady: RateLimiterMemory;
  readonly burst: RateLimiterMemory;

  constructor(steady: RateLimiterMemory, burst: RateLimiterMemory) {
    super(steady, burst);
    this.steady = steady;
    this.burst = burst;
  }
}

function rateOf(perSecond: number): Rate | undefined {
  if (perSecond === 0) return undefined;
  return new Rate(
    new RateLimiterMemory({ points: perSecond, duration: 1 }),
    new RateLimiterMemory({ points: perSecond * BURST_SECONDS, duration: BURST_WINDOW_SECONDS }),
  );
}

/** Name of the limit in errors. */
function limitOf(kind: Counted): CallLimit {
  return kind === 'personRefusals' ? 'refusals' : kind;
}
