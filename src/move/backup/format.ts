import { z } from 'zod';
import type { FileRecord, JsonValue, TransferredFile } from '../../catalog/file-catalog.ts';
import type { BlobProperties } from '../../storage/blob.ts';
import { VERIFY_REASONS, type VerifyReason } from '../check-file.ts';

/** Format of a backup; another version may change the layout. */
export const FORMAT = { format: 'asset-service-backup', version: 1 } as const;

/** A file in a backup: one line of a page. */
export interface BackupFile extends TransferredFile {
  /** Why the backup has no bytes of the file: they did not match its record when they were read. */
  readonly damaged?: VerifyReason;
  /** Type and headers of the object with the bytes, if it has headers: those of a moved old file. */
  readonly properties?: BlobProperties;
}

/** One line of a page: a file as it was, or the id of one that was purged. */
export type BackupEntry = BackupFile | { readonly purged: string };

/** A page, and the SHA-256 of its text in hex. */
export interface PageReference {
  readonly key: string;
  readonly sha256: string;
}

/** What a backup has, and which point of the change log it stands for. Written last: without it there is no backup. */
export interface Manifest {
  readonly name: string;
  readonly kind: 'full' | 'incremental';
  /** Name of the backup before it; empty if it is full. */
  readonly base: string;
  /** Kind of the catalog that was backed up. */
  readonly catalog: string;
  readonly startTime: string;
  readonly endTime: string;
  /** Position of the change log. */
  readonly cursor: string;
  /** Number and size of all files in the backup. */
  readonly files: number;
  readonly bytes: number;
  /** Those of them that are deleted and not purged. */
  readonly deleted: number;
  /** Files whose bytes were in the old bucket, and are not in the backup. */
  readonly notMoved: number;
  readonly damagedCount: number;
  /** The first 1,000 files whose bytes are not in the backup because they were damaged. */
  readonly damaged: readonly { readonly id: string; readonly reason: VerifyReason }[];
  /** The files in the order of ids, as they were while they were copied. */
  readonly records: readonly PageReference[];
  /** What changed since, in order. The last entry of an id counts. */
  readonly changes: readonly PageReference[];
}

/** An unfinished backup. */
export interface Begun {
  readonly kind: 'full' | 'incremental';
  readonly base: string;
  readonly startTime: string;
  /** Position of the change log before the first file was copied. */
  readonly cursor: string;
}

const HEX = z.string().regex(/^[0-9a-f]{64}$/);
const TIME = z.iso.datetime();
const REASON = z.enum(VERIFY_REASONS as [VerifyReason, ...VerifyReason[]]);
const PAGES = z.array(z.object({ key: z.string(), sha256: HEX }));
const HEADER = { format: z.literal(FORMAT.format), version: z.literal(FORMAT.version) };
const KIND = z.enum(['full', 'incremental']);

const MANIFEST = z.object({
  ...HEADER,
  ...{ name: z.string(), kind: KIND, base: z.string(), catalog: z.string() },
  ...{ startTime: TIME, endTime: TIME, cursor: z.string() },
  ...{ files: z.number(), bytes: z.number(), deleted: z.number(), notMoved: z.number() },
  damagedCount: z.number(),
  damaged: z.array(z.object({ id: z.string(), reason: REASON })),
  ...{ records: PAGES, changes: PAGES },
});
const BEGUN = z.object({ ...HEADER, kind: KIND, base: z.string(), startTime: TIME, cursor: z.string() });

// Strict: a field of a later release must not be lost without a word.
const RECORD = z.strictObject({
  ...{ name: z.string(), contentType: z.string(), owner: z.string(), usage: z.string() },
  // Not a record of zod, which drops a key "__proto__".
  relations: z.custom<FileRecord['relations']>(isObject),
  attributes: z.custom<FileRecord['attributes']>(isObject),
  ...{ crc32c: z.number().nullable(), createdBy: z.string(), createdFor: z.string() },
  ...{ createTime: TIME, updateTime: TIME, deleteTime: TIME.nullable(), purgeTime: TIME.nullable() },
  revision: z.string(),
});
const PROPERTIES = z.strictObject({
  contentType: z.string(),
  headers: z
    .strictObject({
      ...{ contentEncoding: z.string(), contentLanguage: z.string(), contentDisposition: z.string() },
      ...{ cacheControl: z.string(), metadata: z.record(z.string(), z.string()) },
    })
    .partial(),
});
const ENTRY = z.union([
  z.strictObject({ purged: z.string() }),
  z.strictObject({
    ...{
      id: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/),
      size: z.number(),
      sha256: HEX.nullable(),
      record: RECORD,
    },
    ...{ requestKey: z.string().optional(), damaged: REASON.optional(), properties: PROPERTIES.optional() },
  }),
]);

/** The text of a manifest. */
export function manifestText(manifest: Manifest): string {
  return `${JSON.stringify({ ...FORMAT, ...manifest }, undefined, 2)}\n`;
}

/** The manifest in a text; undefined if it is none, or of another version. */
export function parseManifest(text: string): Manifest | undefined {
  return parsed(MANIFEST, text);
}

/** The text for {@link parseBegun}. */
export function begunText(begun: Begun): string {
  return `${JSON.stringify({ ...FORMAT, ...begun })}\n`;
}

/** The start of a backup in a text; undefined if it is none, or of another version. */
export function parseBegun(text: string): Begun | undefined {
  return parsed(BEGUN, text);
}

/** The text of a page. */
export function pageText(entries: readonly BackupEntry[]): string {
  return entries.map((entry) => `${JSON.stringify(toLine(entry))}\n`).join('');
}

/** The entries of a page; undefined if the text is damaged. */
export function parsePage(text: string): readonly BackupEntry[] | undefined {
  const entries = text
    .split('\n')
    .slice(0, -1)
    .map((line) => parsed(ENTRY, line));
  if (entries.some((entry) => entry === undefined)) return undefined;
  return entries.map((entry) => fromLine(entry!));
}

/** The id of an entry. */
export function idOf(entry: BackupEntry): string {
  return 'purged' in entry ? entry.purged : entry.record.id;
}

/** A JSON object that has every field of a record; equal records give equal objects. */
export function recordFields(record: FileRecord): Readonly<Record<string, JsonValue>> {
  const { sha256, crc32c, createTime, updateTime, deleteTime, purgeTime, relations, ...others } = record;
  return {
    ...others,
    relations: Object.fromEntries(Object.entries(relations).map(([name, ids]) => [name, [...ids]])),
    ...{ sha256: sha256 === undefined ? null : hex(sha256), crc32c: crc32c ?? null },
    ...{ createTime: createTime.toISOString(), updateTime: updateTime.toISOString() },
    ...{ deleteTime: deleteTime?.toISOString() ?? null, purgeTime: purgeTime?.toISOString() ?? null },
  };
}

function toLine(entry: BackupEntry): object {
  if ('purged' in entry) return entry;
  const { id, sizeBytes, sha256, ...record } = recordFields(entry.record);
  const { requestKey, damaged, properties } = entry;
  return { id, size: sizeBytes, sha256, requestKey, damaged, properties, record };
}

function fromLine(line: z.output<typeof ENTRY>): BackupEntry {
  if ('purged' in line) return line;
  const { id, size, sha256, record, requestKey, damaged, properties } = line;
  const { crc32c, createTime, updateTime, deleteTime, purgeTime, ...others } = record;
  return {
    record: {
      ...others,
      ...{ id, sizeBytes: size, crc32c: crc32c ?? undefined },
      sha256: sha256 === null ? undefined : new Uint8Array(Buffer.from(sha256, 'hex')),
      ...{ createTime: new Date(createTime), updateTime: new Date(updateTime) },
      deleteTime: deleteTime === null ? undefined : new Date(deleteTime),
      purgeTime: purgeTime === null ? undefined : new Date(purgeTime),
    },
    ...(requestKey !== undefined && { requestKey }),
    ...(damaged !== undefined && { damaged }),
    ...(properties !== undefined && { properties: properties as BlobProperties }),
  };
}

/** Bytes in hexadecimal. */
export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function parsed<Schema extends z.ZodType>(schema: Schema, text: string): z.output<Schema> | undefined {
  try {
    const { success, data } = schema.safeParse(JSON.parse(text));
    return success ? data : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
