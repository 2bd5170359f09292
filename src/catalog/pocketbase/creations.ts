import { CALL_TIMEOUT_MS } from '../call.ts';
import type { CreateFence } from '../file-catalog.ts';
import { Refusal, type BatchRequest, type PocketBaseClient, type RawRecord } from './client.ts';
import { isBadRequest, leftOut } from './failures.ts';
import { idFilters } from './filter.ts';
import { requireOpen } from './reservations.ts';
import { takeSession } from './sessions.ts';

/** How long others wait for a batch at most, in milliseconds. One that hangs must not hold up all. */
const TURN_MS = 250;

/** Files in one batch; beyond that hardly anything is gained. With its reservations it has up to twice the requests. */
const MAX_FILES = 16;

/** Greatest number of requests in a batch of files. */
export const MAX_FILE_REQUESTS = 2 * MAX_FILES;

interface Creation {
  readonly reservationId: string;
  readonly file: BatchRequest;
  readonly signal: AbortSignal;
  readonly resolve: (raw: RawRecord) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Creates the records of files. What comes while a batch is on its way goes together into the next one: PocketBase writes
 * one after the other anyway, and a batch of 16 files costs it a quarter of what 16 batches of one cost.
 */
export class PocketBaseCreations {
  readonly #client: PocketBaseClient;
  #waiting: Creation[] = [];
  #busy = false;

  constructor(client: PocketBaseClient) {
    this.#client = client;
  }

  /**
   * Carries out `file`, the request that creates a file, unless what it was promised its id by is gone.
   * Rejects like {@link PocketBaseClient.batch}; its first request stands for the promise. Others that go along
   * change nothing about it.
   */
  async create(fence: CreateFence, file: BatchRequest, signal: AbortSignal): Promise<RawRecord> {
    if ('upload' in fence) {
      const before = takeSession(idOf(file), fence.upload.revision);
      return createdBy(await this.#client.batch([...before, file], signal), before.length);
    }
    const { reservationId } = fence;
    return new Promise((resolve, reject) => {
      this.#waiting.push({ reservationId, file, signal, resolve, reject });
      this.#next();
    });
  }

  #next(): void {
    if (this.#busy || this.#waiting.length === 0) return;
    const taken = this.#waiting.splice(0, MAX_FILES);
    // Whoever gave up has been told that the file may not be there, and it had better not.
    const creations = taken.filter(({ signal }) => !signal.aborted);
    if (creations.length === 0) return this.#next();
    this.#busy = true;
    let over = false;
    const end = () => {
      clearTimeout(turn);
      if (over) return;
      over = true;
      this.#busy = false;
      this.#next();
    };
    const turn = setTimeout(end, TURN_MS);
    void this.#send(creations).finally(end);
  }

  async #send(creations: readonly Creation[]): Promise<void> {
    if (creations.length === 1) return this.#sendAlone(creations[0]!);
    const reservations = [...new Set(creations.map(({ reservationId }) => reservationId))];
    const requests = [...reservations.map(requireOpen), ...creations.map(({ file }) => file)];
    // It must not end because one of those who wait for it gives up.
    const signal = AbortSignal.timeout(CALL_TIMEOUT_MS);
    try {
      const raws = await this.#client.batch(requests, signal);
      creations.forEach(({ resolve, reject }, index) => {
        const raw = raws[reservations.length + index];
        if (raw) resolve(raw);
        else reject(leftOut(1));
      });
    } catch (error) {
      await this.#repeat(creations, error, signal);
    }
  }

  /**
   * Sends creations of a batch that failed one by one: with one that is refused, none is written, and each learns what it is
   * refused for. Those that are there all the same, since a hook failed after the commit, fail like the batch.
   */
  async #repeat(creations: readonly Creation[], error: unknown, signal: AbortSignal): Promise<void> {
    let written: ReadonlySet<string> = new Set();
    try {
      if (isBadRequest(error)) written = await this.#findWritten(creations, signal);
      else if (!(error instanceof Refusal)) throw error;
    } catch (reason) {
      return creations.forEach(({ reject }) => reject(reason));
    }
    const repeated = creations.map(async (one) => {
      if (written.has(idOf(one.file))) one.reject(error);
      else await this.#sendAlone(one);
    });
    await Promise.all(repeated);
  }

  async #findWritten(creations: readonly Creation[], signal: AbortSignal): Promise<ReadonlySet<string>> {
    const filters = idFilters(creations.map(({ file }) => idOf(file)));
    const { collection } = creations[0]!.file;
    const pages = await Promise.all(
      filters.map((filter) =>
        this.#client.list(collection, { filter, limit: MAX_FILES, fields: 'id' }, signal),
      ),
    );
    return new Set(pages.flat().map(({ id }) => id));
  }

  async #sendAlone({ reservationId, file, signal, resolve, reject }: Creation): Promise<void> {
    try {
      resolve(createdBy(await this.#client.batch([requireOpen(reservationId), file], signal), 1));
    } catch (error) {
      reject(error);
    }
  }
}

function idOf(file: BatchRequest): string {
  return file.body!.id as string;
}

/** The answer to the request at this place, which creates a file. */
function createdBy(answers: readonly (RawRecord | undefined)[], index: number): RawRecord {
  const raw = answers[index];
  if (!raw) throw leftOut(index);
  return raw;
}
