import { CALL_TIMEOUT_MS } from '../bounded.ts';
import type { CreateFence } from '../file-catalog.ts';
import { Refusal, type BatchRequest, type PocketBaseClient, type RawRecord } from './client.ts';
import { isBadRequest, leftOut } from './failures.ts';
import { idFilters } from './filter.ts';
import { logCreated } from './change-entries.ts';
import { requireOpen } from './reservations.ts';
import { takeSession } from './sessions.ts';

/** Maximum time that others wait for a batch, in milliseconds: one that hangs must not block all. */
const TURN_MS = 250;

/** Maximum number of files in one batch; more gains little. */
const MAX_FILES = 16;

/** Maximum number of requests in a batch of files: each may have its own reservation, and one logs them all. */
export const MAX_FILE_REQUESTS = 2 * MAX_FILES + 1;

interface Creation {
  readonly reservationId: string;
  readonly file: BatchRequest;
  readonly signal: AbortSignal;
  readonly resolve: (raw: RawRecord) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Creates the records of files. Requests that arrive while a batch is running share the next one: PocketBase
 * executes writes one after the other, and a batch of 16 files costs a quarter of 16 batches of one.
 */
export class PocketBaseCreations {
  readonly #client: PocketBaseClient;
  #waiting: Creation[] = [];
  #busy = false;

  constructor(client: PocketBaseClient) {
    this.#client = client;
  }

  /**
   * Executes `file`, the request that creates a file, if its reservation or session is open. Rejects like {@link
   * PocketBaseClient.batch}; index 0 of a refusal is the check of the hold. Other files in the batch do not affect
   * it.
   */
  async create(fence: CreateFence, file: BatchRequest, signal: AbortSignal): Promise<RawRecord> {
    if ('upload' in fence) {
      const before = takeSession(idOf(file), fence.upload.revision);
      return createdBy(await this.#client.batch([...before, file, logOf([file])], signal), before.length);
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
    // Cancelled callers were told that the file may not exist, so it should not be created.
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
    const files = creations.map(({ file }) => file);
    // One record of the log for all, because each request of a batch costs about the same.
    const requests = [...reservations.map(requireOpen), ...files, logOf(files)];
    // Shared by all waiting requests, so it must not end when one of them is cancelled.
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
   * Sends the creations of a failed batch one at a time, so that each gets its own result: one refused request
   * fails the whole batch. Those that exist although a hook failed after the commit fail like the batch.
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
      const requests = [requireOpen(reservationId), file, logOf([file])];
      resolve(createdBy(await this.#client.batch(requests, signal), 1));
    } catch (error) {
      reject(error);
    }
  }
}

function logOf(files: readonly BatchRequest[]): BatchRequest {
  return logCreated(files.map(idOf));
}

function idOf(file: BatchRequest): string {
  return file.body!.id as string;
}

/** The response to the request that creates a file. */
function createdBy(answers: readonly (RawRecord | undefined)[], index: number): RawRecord {
  const raw = answers[index];
  if (!raw) throw leftOut(index);
  return raw;
}
