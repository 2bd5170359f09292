import type { Timed } from './throttle.ts';

/** Number of files of a round at up to eight workers; enough that the mean time of a noisy store is known to 10 percent. */
const ROUND = 40;

/** Number of files of a round for each worker, if that is more: the first ones overlap with fewer others. */
const ROUND_PER_WORKER = 5;

/** Factor over the time with one worker above which the workers slow each other, and all others, down. */
const SLOWER = 1.3;

/** A number of workers changes by a quarter, and at least by one. */
const STEP = 1 / 4;

/** After this many files for each worker the time with one worker is measured again, because stores change. */
const BASE_EVERY = 400;

/** Number of rounds before a number of workers that was too high is tried again; doubled each time, up to the maximum. */
const PATIENCE = 4;
const MAX_PATIENCE = 16;

/** Number of measurements of a kind from which its mean counts. */
const ENOUGH = 10;

type Means = ReadonlyMap<Timed, number>;

/** Measurements of one file. */
export interface FileTimes {
  /** Adds the time of a request that does not depend on the size of the file, in milliseconds. */
  observe(of: Timed, ms: number): void;
  /** The file is done. */
  end(): void;
}

/**
 * Determines how many files are processed concurrently: begins with one, and adds workers while the requests of a file
 * take hardly longer than with one worker, so that other callers of the store and the catalog do not wait either.
 *
 * Compares the means of whole rounds of files, never a minimum, which would sink with the noise.
 */
export class Concurrency {
  readonly #max: number;
  #current = 1;
  /** What is resumed after a round with one worker that measures the base. */
  #resume: number | undefined;
  #base: Means = new Map();
  #sinceBase = 0;
  #round = new Round();
  #wasRaised = false;
  #patience = PATIENCE;
  /** Rounds before the next increase. One at the start: the times of the first files are those of a cold process. */
  #hold = 1;

  /** @param max - maximum number of workers */
  constructor(max: number) {
    this.#max = max;
  }

  /** Number of files to process concurrently now. */
  get current(): number {
    return this.#current;
  }

  /** Begins a file. What is observed after its round has ended does not count. */
  begin(): FileTimes {
    const round = this.#round;
    return {
      observe: (of, ms) => round.observe(of, ms),
      end: () => {
        round.files += 1;
        const wanted = Math.max(ROUND, ROUND_PER_WORKER * this.#current);
        if (round === this.#round && round.files >= wanted) this.#next(round);
      },
    };
  }

  #next(round: Round): void {
    this.#round = new Round();
    this.#sinceBase += round.files;
    if (this.#current === 1) {
      this.#base = round.means;
      this.#sinceBase = 0;
    }
    const wasRaised = this.#wasRaised;
    this.#wasRaised = false;
    const step = Math.max(1, Math.floor(this.#current * STEP));
    if (this.#resume !== undefined) {
      [this.#current, this.#resume] = [this.#resume, undefined];
    } else if (round.isSlowerThan(this.#base)) {
      this.#hold = this.#patience;
      if (wasRaised) this.#patience = Math.min(MAX_PATIENCE, 2 * this.#patience);
      this.#current -= step;
    } else {
      if (wasRaised) this.#patience = PATIENCE;
      if (this.#sinceBase >= BASE_EVERY * this.#current) {
        [this.#current, this.#resume] = [1, this.#current];
      } else if (this.#hold > 0) {
        this.#hold -= 1;
      } else if (this.#current < this.#max) {
        this.#current = Math.min(this.#max, this.#current + step);
        this.#wasRaised = true;
      }
    }
  }
}

class Round {
  files = 0;
  readonly #sums = new Map<Timed, { count: number; ms: number }>();

  observe(of: Timed, ms: number): void {
    const sum = this.#sums.get(of) ?? { count: 0, ms: 0 };
    this.#sums.set(of, { count: sum.count + 1, ms: sum.ms + ms });
  }

  /** Mean time by kind of request, where there are enough measurements. */
  get means(): Means {
    const enough = [...this.#sums].filter(([, { count }]) => count >= ENOUGH);
    return new Map(enough.map(([of, { count, ms }]) => [of, ms / count]));
  }

  /** Compares only the kinds that both rounds know: one of large files alone has no copies that are measured. */
  isSlowerThan(base: Means): boolean {
    let [now, usual] = [0, 0];
    for (const [of, ms] of this.means) {
      const before = base.get(of);
      if (before !== undefined) [now, usual] = [now + ms, usual + before];
    }
    return now > usual * SLOWER;
  }
}
