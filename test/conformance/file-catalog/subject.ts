import { randomInt } from 'node:crypto';
import type {
  FileCatalog,
  FileRecord,
  NewFileRecord,
  Reservation,
} from '../../../src/catalog/file-catalog.ts';

/** A catalog under test, and what the suite needs to know about it. */
export interface CatalogSubject {
  /** Opens another catalog on the same records, like another replica. The suite closes it. */
  open(): FileCatalog;
  /** Ids that the relations `project` (one target) and `tags` (up to ten) may have; ten each. */
  readonly targets: { readonly project: readonly string[]; readonly tags: readonly string[] };
  /** How to make the catalog unreachable. */
  readonly outage: CatalogOutage | { readonly impossible: string };
  /** Copies the whole database; the returned function puts the copy back. Catalogs may be open. */
  dump(): Promise<() => Promise<void>>;
  /** Rewrites the database to free disk space. */
  vacuum(): Promise<void>;
  /** Differences from the other catalogs, each with the reason. */
  readonly exceptions: CatalogExceptions;
  /** Stops what was started. */
  dispose(): Promise<void>;
}

/** A network with failures between a catalog and its server. */
export interface CatalogOutage {
  /** Opens a catalog through that network. */
  open(): FileCatalog;
  cut(): Promise<void>;
  stall(): void;
  restore(): Promise<void>;
  /** Texts that no message may contain: addresses, table names, passwords. */
  readonly secrets: readonly string[];
}

/** The reason for each promise that a catalog cannot keep exactly. */
export interface CatalogExceptions {
  /** An attribute with "" or [] reads as unset. */
  readonly emptyAttributesAreUnset?: string;
  /** Unknown relations, targets and attributes are accepted, because there is no schema. */
  readonly hasNoSchema?: string;
}

/** A new file id. */
export function newId(): string {
  const alphabet = 'abcdefghijklmnopqrstuvwxyz0123456789';
  return Array.from({ length: 15 }, () => alphabet[randomInt(36)]).join('');
}

/** A record that is not stored yet, with a value in every plain field. */
export function newFile(fields: Partial<NewFileRecord> = {}): NewFileRecord {
  return {
    id: newId(),
    name: 'report.pdf',
    contentType: 'application/pdf',
    sizeBytes: 1234,
    sha256: new Uint8Array(32).fill(7),
    crc32c: 123_456,
    owner: 'owner-1',
    usage: 'invoice',
    relations: {},
    attributes: {},
    createdBy: 'worker',
    createdFor: 'user-1',
    ...fields,
  };
}

/** Opens a reservation of these ids (default one new id) for an hour. */
export function reserve(catalog: FileCatalog, ids: readonly string[] = [newId()]): Promise<Reservation> {
  return catalog.uploads.reserve(ids, new Date(Date.now() + 3_600_000));
}

/** Creates a file with its own reservation. */
export async function createFile(
  catalog: FileCatalog,
  fields: Partial<NewFileRecord> = {},
  requestKey?: string,
): Promise<FileRecord> {
  const file = newFile(fields);
  const { id: reservationId } = await reserve(catalog, [file.id]);
  const result = await catalog.create(file, { reservationId, ...(requestKey && { requestKey }) });
  if (result.status !== 'created') throw new Error('the request key is taken');
  return result.record;
}

/** The record with an id, which must exist. */
export async function getFile(catalog: FileCatalog, id: string): Promise<FileRecord> {
  const record = (await catalog.get([id])).get(id);
  if (!record) throw new Error(`no record ${id}`);
  return record;
}

/** A record with its bytes as hexadecimal text, because Jest never treats arrays of two realms as equal. */
export function plain(record: FileRecord): object {
  return { ...record, sha256: record.sha256 && Buffer.from(record.sha256).toString('hex') };
}

/** The outcome of each promise: `ok`, or the reason of its error. */
export async function outcomes(promises: readonly Promise<unknown>[]): Promise<string[]> {
  const results = await Promise.allSettled(promises);
  return results.map((result) =>
    result.status === 'fulfilled'
      ? 'ok'
      : ((result.reason as { reason?: string }).reason ?? String(result.reason)),
  );
}
