import type { FileRecord } from '../../catalog/file-catalog.ts';
import { isAssetError } from '../../errors/asset-error.ts';
import type { Flow } from './flow.ts';
import type { CatalogMember } from './member.ts';
import { moveProgress } from './progress.ts';
import { MoveRefused } from '../refused.ts';
import { followMove } from './start.ts';

/** Interval of looks at the change log, in milliseconds. */
const LOOK_MS = 1_000;

/** Interval at which what has no log is compared, in milliseconds. */
const STATE_MS = 10_000;

/**
 * Follows the active catalog of a move in a replica, so that the other one is never far behind. Of several replicas one does
 * it at a time.
 */
export class Follower {
  readonly #member: CatalogMember;
  readonly #whyNot: (flow: Flow) => Promise<(record: FileRecord) => string | undefined>;
  readonly #tell: (text: string) => void;
  readonly #holder: string;
  readonly #ended = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #running: Promise<void> | undefined;
  #comparedAt = -Infinity;
  #told = '';

  /**
   * @param holder - unique to this process
   * @param whyNot - see `MoveOptions`
   * @param tell - is told why it cannot follow, once for each reason
   */
  constructor(
    member: CatalogMember,
    options: {
      readonly holder: string;
      readonly whyNot: (flow: Flow) => Promise<(record: FileRecord) => string | undefined>;
    },
    tell: (text: string) => void,
  ) {
    [this.#member, this.#tell] = [member, tell];
    [this.#holder, this.#whyNot] = [options.holder, options.whyNot];
    this.#timer = setInterval(() => {
      this.#running ??= this.#look().finally(() => (this.#running = undefined));
    }, LOOK_MS);
    this.#timer.unref();
  }

  /** Ends the running step, and begins no more. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#ended.abort(new MoveRefused('the replica stops'));
    await this.#running;
  }

  async #look(): Promise<void> {
    try {
      const flow = this.#flow();
      if (flow && (await this.#isDue(flow))) await this.#follow(flow);
      this.#told = '';
    } catch (error) {
      const text = (error as Error).message;
      if (this.#ended.signal.aborted || text === this.#told) return;
      this.#told = text;
      this.#tell(`the move of the catalog cannot follow now: ${text}`);
    }
  }

  #flow(): Flow | undefined {
    const { row, own, next, active } = this.#member;
    if (next === undefined || (row?.state !== 'following' && row?.state !== 'switched')) return undefined;
    return { source: active, target: active === own ? next : own, row };
  }

  /** True if there is something to follow. Costs two reads. */
  async #isDue({ source, row }: Flow): Promise<boolean> {
    const { signal } = this.#ended;
    const progress = await moveProgress(source, signal);
    // The copy belongs to `catalog move start`.
    if (!progress?.isCopied || progress.move !== row.move || progress.state === 'cancelled') return false;
    if (performance.now() - this.#comparedAt > STATE_MS) return true;
    try {
      const { cursor, changes } = await source.changes.read(progress.log, 1, { signal });
      return changes.length > 0 || cursor !== progress.log;
    } catch (error) {
      if (isAssetError(error, 'CURSOR_EXPIRED')) return true;
      throw error;
    }
  }

  async #follow(flow: Flow): Promise<void> {
    const options = { holder: this.#holder, whyNot: await this.#whyNot(flow) };
    await followMove(flow, options, this.#ended.signal);
    this.#comparedAt = performance.now();
  }
}
