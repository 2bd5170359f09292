import { setImmediate } from 'node:timers/promises';
import pLimit from 'p-limit';
import type { FileRecord, JsonValue } from '../catalog/file-catalog.ts';
import { AssetError } from '../errors.ts';

/**
 * Longest answer, in bytes: what gRPC and the official clients read where nobody says otherwise, 4 MiB, without some room
 * for what stands around the items.
 */
export const MAX_ANSWER_BYTES = 4 * 2 ** 20 - 64 * 1024;

/** Records that are read before it is known how large they are. An embedded catalog holds up the process meanwhile. */
const FIRST_RECORDS = 16;

/** How many times as many as are there already are read next at most: those that follow may be larger. */
const GROWTH = 4;

/** Greatest number of records that are read at once. At their greatest size they come to some 60 MB. */
const MAX_RECORDS = 100;

/** Reads of many records at once, of all calls together: what is read is in memory before it can be measured. */
const reading = pLimit(8);

/** Carries out a read of many records when its turn comes. Between two reads the process gets to other work. */
export function readMany<T>(signal: AbortSignal, read: () => Promise<T>): Promise<T> {
  return reading(async () => {
    await setImmediate();
    signal.throwIfAborted();
    return read();
  });
}

/** How much of an answer is taken. */
export class AnswerRoom {
  #bytes = 0;
  #items = 0;

  /**
   * Takes the room of an item; false, and nothing is taken, if there is not so much left. The first item always has room.
   *
   * @param besides - bytes that have to stay free
   */
  take(bytes: number, besides = 0): boolean {
    if (this.#items > 0 && this.#bytes + bytes + besides > MAX_ANSWER_BYTES) return false;
    this.#bytes += bytes;
    this.#items += 1;
    return true;
  }

  /** How many of `wanted` items to read at once, by the size of those that are there. */
  next(wanted: number): number {
    if (this.#items === 0) return Math.min(wanted, FIRST_RECORDS);
    const fitting = Math.ceil((MAX_ANSWER_BYTES - this.#bytes) / (this.#bytes / this.#items));
    return Math.min(wanted, MAX_RECORDS, GROWTH * this.#items, Math.max(1, fitting));
  }
}

/** The error for what has no room in an answer. Its size, as bytes of an answer, is below {@link ERROR_BYTES}. */
export function noRoom(what: string, metadata: Readonly<Record<string, string>> = {}): AssetError {
  return new AssetError('MESSAGE_TOO_LARGE', `${what} in one answer of ${MAX_ANSWER_BYTES} bytes`, {
    metadata: { max_bytes: String(MAX_ANSWER_BYTES), ...metadata },
  });
}

/** Room of an error in the answer to a batch. */
export const ERROR_BYTES = 768;

/** The most that a record takes in an answer, in bytes, whether it is written in the binary form or in JSON. */
export function recordBytes(file: FileRecord): number {
  // Times, numbers, checksums and the names of all fields.
  let bytes = 640 + textBytes(file.id) + textBytes(file.revision);
  for (const text of [file.name, file.contentType, file.owner, file.usage, file.createdBy]) {
    bytes += textBytes(text);
  }
  for (const [name, ids] of Object.entries(file.relations)) {
    bytes += 24 + textBytes(name);
    for (const id of ids) bytes += textBytes(id);
  }
  return bytes + jsonBytes(file.attributes);
}

function jsonBytes(value: JsonValue): number {
  if (typeof value === 'string') return 12 + textBytes(value);
  // As long as a number can be in JSON; binary it takes 9 bytes.
  if (value === null || typeof value !== 'object') return 26;
  let bytes = 14;
  if (Array.isArray(value)) for (const item of value as readonly JsonValue[]) bytes += jsonBytes(item);
  else for (const [key, item] of Object.entries(value)) bytes += 10 + textBytes(key) + jsonBytes(item);
  return bytes;
}

/** With its quotes and a comma or, in binary, its tag and length. */
function textBytes(text: string): number {
  return (
    8 + (/["\\\u0000-\u001f]/.test(text) ? Buffer.byteLength(JSON.stringify(text)) : Buffer.byteLength(text))
  );
}
