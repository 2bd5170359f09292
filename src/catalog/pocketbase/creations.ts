import { isAssetError } from '../../errors.ts';
import { CALL_TIMEOUT_MS } from '../call.ts';
import type { CreateFence } from '../file-catalog.ts';
import { Refusal, type BatchRequest, type PocketBaseClient, type RawRecord } from './client.ts';
import { requireOpen } from './reservations.ts';
import { takeSession } from './uploads.ts';

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
   * Carries out `file`, the request that creates the file of this id, unless what it was promised its id by is gone.
   * Rejects like {@link PocketBaseClient.batch}; its first request stands for the promise. Others that go along
   * change nothing about it.
   */
  async create(id: string, fence: CreateFence, file: BatchRequest, signal: AbortSignal): Promise<RawRecord> {
    if ('upload' in fence) {
      const raws = await this.#client.batch([...takeSession(id, fence.upload.revision), file], signal);
      return raws.at(-1)!;
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
      creations.forEach(({ resolve }, index) => resolve(raws[reservations.length + index]!));
    } catch (error) {
      // With one that is refused, none is written. Each learns by itself what it is refused for.
      if (nothingWritten(error)) await Promise.all(creations.map((one) => this.#sendAlone(one)));
      else creations.forEach(({ reject }) => reject(error));
    }
  }

  async #sendAlone({ reservationId, file, signal, resolve, reject }: Creation): Promise<void> {
    try {
      const raws = await this.#client.batch([requireOpen(reservationId), file], signal);
      resolve(raws[1]!);
    } catch (error) {
      reject(error);
    }
  }
}

/** True if PocketBase said that it carries the batch out in no part: because of a request in it, its length or its duration. */
function nothingWritten(error: unknown): boolean {
  if (error instanceof Refusal) return true;
  const { status } = (isAssetError(error) ? (error.cause ?? {}) : {}) as { readonly status?: number };
  return status === 400;
}
