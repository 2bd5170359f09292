import { ScalarType, type DescField, type DescMessage, type DescMethod } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';

/** Maximum number of fields, list elements and map entries of a message, at any depth; no message needs more. */
const MAX_ELEMENTS = 20_000;

/** The same for messages with attributes: 64 KiB of them can be some 32,000 values, each of two fields. */
const MAX_DESCRIBED = 100_000;

const { upload, startUpload, updateMetadata } = AssetService.method;
const DESCRIBING: ReadonlySet<DescMethod> = new Set<DescMethod>([upload, startUpload, updateMetadata]);

/** Maximum depth of the scan; a decoder refuses deeper messages. */
const MAX_DEPTH = 100;

/** How the bytes of a field are read: as the decoder does it, whatever the wire type. */
type Reading =
  | { readonly kind: 'bytes'; readonly message?: DescMessage | undefined; readonly entryOf?: DescField }
  | { readonly kind: 'varint' | 'fixed32' | 'fixed64'; readonly mayBePacked: boolean };

const readings = new WeakMap<DescMessage, ReadonlyMap<number, Reading>>();

/**
 * Refuses a message with so many small elements that it would take long to decode and much memory. Visits each
 * element once, allocates nothing, and stops at the limit. Bytes that are no message are left to the decoder.
 *
 * @param bytes - a whole message
 * @throws ConnectError INVALID_ARGUMENT if it has too many elements
 */
export function assertFewElements(
  method: DescMethod,
  bytes: Uint8Array,
  format: 'binary' | 'json' = 'binary',
): void {
  const budget = new Budget(DESCRIBING.has(method) ? MAX_DESCRIBED : MAX_ELEMENTS);
  // Every element takes at least one byte.
  if (bytes.length <= budget.left) return;
  if (format === 'json') scanJson(bytes, budget);
  else new Scan(bytes, budget).message(method.input, 0, bytes.length, 0);
}

class Budget {
  left: number;

  constructor(elements: number) {
    this.left = elements;
  }

  take(elements: number): void {
    this.left -= elements;
    if (this.left >= 0) return;
    throw new ConnectError('the message has too many elements: send fewer in one call', Code.InvalidArgument);
  }
}

const [QUOTE, BACKSLASH, COMMA, BRACE, BRACKET] = [0x22, 0x5c, 0x2c, 0x7b, 0x5b];

function scanJson(bytes: Uint8Array, budget: Budget): void {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at < text.length; at++) {
    const byte = text[at]!;
    if (byte === COMMA || byte === BRACE || byte === BRACKET) budget.take(1);
    if (byte !== QUOTE) continue;
    // Skips the string; a quote after an odd number of backslashes does not end it.
    for (;;) {
      at = text.indexOf(QUOTE, at + 1);
      if (at < 0) return;
      let slashes = 0;
      while (text[at - 1 - slashes] === BACKSLASH) slashes++;
      if (slashes % 2 === 0) break;
    }
  }
}

class Scan {
  readonly #bytes: Uint8Array;
  readonly #budget: Budget;
  #at = 0;

  constructor(bytes: Uint8Array, budget: Budget) {
    this.#bytes = bytes;
    this.#budget = budget;
  }

  message(schema: DescMessage, start: number, end: number, depth: number): void {
    this.#fields(readingsOf(schema), start, Math.min(end, this.#bytes.length), depth);
  }

  #fields(known: ReadonlyMap<number, Reading>, start: number, end: number, depth: number): void {
    this.#at = start;
    while (this.#at < end) {
      this.#budget.take(1);
      const tag = this.#varint();
      const wireType = tag & 7;
      const reading = known.get(tag >>> 3);
      if (reading?.kind === 'bytes' || (wireType === 2 && (reading === undefined || reading.mayBePacked))) {
        this.#delimited(reading, depth);
      } else this.#skip(reading?.kind, wireType);
    }
  }

  #delimited(reading: Reading | undefined, depth: number): void {
    const length = this.#varint();
    const start = this.#at;
    if (reading?.kind === 'bytes' && depth < MAX_DEPTH) {
      const { message, entryOf } = reading;
      if (message) this.message(message, start, start + length, depth + 1);
      else if (entryOf) {
        this.#fields(entryReadings(entryOf), start, Math.min(start + length, this.#bytes.length), depth + 1);
      }
    } else if (reading !== undefined) this.#budget.take(length);
    this.#at = start + length;
  }

  #skip(kind: Reading['kind'] | undefined, wireType: number): void {
    if (kind === 'fixed64' || (kind === undefined && wireType === 1)) this.#at += 8;
    else if (kind === 'fixed32' || (kind === undefined && wireType === 5)) this.#at += 4;
    // The tags of a group have no content.
    else if (kind === 'varint' || wireType === 0) this.#varint();
  }

  /** The lower 32 bits of a number of any length. */
  #varint(): number {
    let value = 0;
    for (let shift = 0; this.#at < this.#bytes.length; shift += 7) {
      const byte = this.#bytes[this.#at++]!;
      if (shift < 32) value |= (byte & 127) << shift;
      if (byte < 128) break;
    }
    return value >>> 0;
  }
}

function readingsOf(schema: DescMessage): ReadonlyMap<number, Reading> {
  let known = readings.get(schema);
  if (known === undefined) {
    known = new Map(schema.fields.map((field) => [field.number, readingOf(field)]));
    readings.set(schema, known);
  }
  return known;
}

function readingOf(field: DescField): Reading {
  if (field.fieldKind === 'map') return { kind: 'bytes', entryOf: field };
  if (field.message !== undefined) return { kind: 'bytes', message: field.message };
  return scalarReading(field.scalar, field.fieldKind === 'list');
}

function entryReadings(field: DescField): ReadonlyMap<number, Reading> {
  const value: Reading =
    field.message === undefined
      ? scalarReading(field.scalar, false)
      : { kind: 'bytes', message: field.message };
  return new Map([
    [1, scalarReading(field.fieldKind === 'map' ? field.mapKey : undefined, false)],
    [2, value],
  ]);
}

/** @param scalar - undefined for an enum */
function scalarReading(scalar: ScalarType | undefined, mayBePacked: boolean): Reading {
  switch (scalar) {
    case ScalarType.STRING:
    case ScalarType.BYTES:
      return { kind: 'bytes' };
    case ScalarType.FIXED32:
    case ScalarType.SFIXED32:
    case ScalarType.FLOAT:
      return { kind: 'fixed32', mayBePacked };
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
    case ScalarType.DOUBLE:
      return { kind: 'fixed64', mayBePacked };
    default:
      return { kind: 'varint', mayBePacked };
  }
}
