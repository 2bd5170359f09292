import { setImmediate } from 'node:timers/promises';
import pLimit from 'p-limit';
import type { FileRecord, JsonValue } from '../catalog/file-catalog.ts';
import { AssetError } from '../errors/asset-error.ts';

/**
 * Maximum size of the items in a response, in bytes: the default limit of gRPC and the official clients, 4 MiB,
 * minus room for what surrounds the items.
 */
export const MAX_ANSWER_BYTES = 4 * 2 ** 20 - 64 * 1024;

/** Number of records to read before their size is known. An embedded catalog blocks the process while it reads. */
const FIRST_RECORDS = 16;

/** Maximum growth of the next read compared with what was read so far: later records may be larger. */
const GROWTH = 4;

/** Maximum number of records per read. At their maximum size they take about 60 MB. */
const MAX_RECORDS = 100;

/**
 * Limits concurrent reads of many records, of all calls together: records are in memory before they can be
 * measured.
 */
const reading = pLimit(8);

/** Runs a read of many records when its turn comes. Between two reads the process does other work. */
export function readMany<T>(signal: AbortSignal, read: () => Promise<T>): Promise<T> {
  return reading(async () => {
    await setImmediate();
    signal.throwIfAborted();
    return read();
  });
}

/** The used size of a response. */
export class AnswerRoom {
  #bytes = 0;
  #items = 0;

  /**
   * Reserves room for an item; false, without a change, if there is not enough. The first item always fits.
   *
   * @param besides - bytes that must stay free
   */
  take(bytes: number, besides = 0): boolean {
    if (this.#items > 0 && this.#bytes + bytes + besides > MAX_ANSWER_BYTES) return false;
    this.#bytes += bytes;
    this.#items += 1;
    return true;
  }

  /** How many of `wanted` items to read next, by the size of the previous ones. */
  next(wanted: number): number {
    if (this.#items === 0) return Math.min(wanted, FIRST_RECORDS);
    const fitting = Math.ceil((MAX_ANSWER_BYTES - this.#bytes) / (this.#bytes / this.#items));
    return Math.min(wanted, MAX_RECORDS, GROWTH * this.#items, Math.max(1, fitting));
  }
}

/** The error for an item that does not fit. Its size in a response is below {@link ERROR_BYTES}. */
export function noRoom(what: string, metadata: Readonly<Record<string, string>> = {}): AssetError {
  return new AssetError('MESSAGE_TOO_LARGE', `${what} in one answer of ${MAX_ANSWER_BYTES} bytes`, {
    metadata: { max_bytes: String(MAX_ANSWER_BYTES), ...metadata },
  });
}

/** Maximum size of an error in a batch response. */
export const ERROR_BYTES = 768;

/** Maximum size of a record in a response in bytes, in the binary format and in JSON. */
export function recordBytes(file: FileRecord): number {
  // Times, numbers, checksums and field names.
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
  // Maximum length of a number in JSON; in binary it takes 9 bytes.
  if (value === null || typeof value !== 'object') return 26;
  let bytes = 14;
  if (Array.isArray(value)) for (const item of value as readonly JsonValue[]) bytes += jsonBytes(item);
  else for (const [key, item] of Object.entries(value)) bytes += 10 + textBytes(key) + jsonBytes(item);
  return bytes;
}

/** With quotes and a comma (JSON) or tag and length (binary). */
function textBytes(text: string): number {
  return (
    8 + (/["\\\u0000-\u001f]/.test(text) ? Buffer.byteLength(JSON.stringify(text)) : Buffer.byteLength(text))
  );
}
