import { createHash } from 'node:crypto';
import type { FieldValues } from '../catalog/legacy-records.ts';
import { combineCrc32c, crc32c } from '../files/upload/crc32c.ts';
import type { ObjectChecksums, ObjectInfo } from '../storage/object-reader.ts';

type Algorithm = keyof ObjectChecksums;

/** A checksum that the bytes of an old file should have. */
export interface KnownChecksum {
  readonly algorithm: Algorithm;
  /** Lower-case hexadecimal. */
  readonly hex: string;
  /** Source of the checksum, for the report. */
  readonly from: string;
}

/** Names of fields and metadata that contain a checksum if their value has the form of one. */
const NAMED = /^(?:content[-_]?)?(?:md5|sha1|sha[-_]?256|checksum)(?:sum)?$/i;

const BY_LENGTH: Readonly<Record<number, Algorithm>> = { 32: 'md5', 40: 'sha1', 64: 'sha256' };

/**
 * The checksums that a record and its object carry: by the store, the metadata of the object, and fields of the record.
 */
export function checksumsOf(
  fields: FieldValues,
  { headers }: Pick<ObjectInfo, 'headers'>,
  ofStore: ObjectChecksums,
): readonly KnownChecksum[] {
  const named = (pairs: readonly (readonly [string, string])[], from: string) =>
    pairs.flatMap(([name, value]): KnownChecksum[] => {
      const algorithm = BY_LENGTH[value.length];
      if (!NAMED.test(name) || algorithm === undefined || !/^[0-9a-f]+$/i.test(value)) return [];
      return [{ algorithm, hex: value.toLowerCase(), from: `${from} ${name}` }];
    });
  const stored = Object.entries(ofStore) as [Algorithm, string][];
  return [
    ...stored.map(([algorithm, hex]) => ({ algorithm, hex, from: `the store's ${algorithm}` })),
    ...named(Object.entries(headers.metadata ?? {}), 'metadata'),
    ...named(
      Object.entries(fields).map(([name, values]) => [name, values[0] ?? ''] as const),
      'field',
    ),
  ];
}

/** Reads content to its end. Resolves with the source of the first checksum that differs; undefined if all match. */
export async function contradicted(
  content: AsyncIterable<Uint8Array>,
  known: readonly KnownChecksum[],
): Promise<string | undefined> {
  const names = new Set(known.map(({ algorithm }) => algorithm));
  const hashes = new Map(
    [...names].filter((name) => name !== 'crc32c').map((name) => [name, createHash(name)] as const),
  );
  let sum = 0;
  for await (const chunk of content) {
    for (const hash of hashes.values()) hash.update(chunk);
    if (names.has('crc32c')) sum = combineCrc32c(sum, crc32c(chunk), chunk.length);
  }
  const found = new Map<Algorithm, string>([...hashes].map(([name, hash]) => [name, hash.digest('hex')]));
  found.set('crc32c', sum.toString(16).padStart(8, '0'));
  return known.find(({ algorithm, hex }) => found.get(algorithm) !== hex)?.from;
}
