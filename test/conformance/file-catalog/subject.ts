import { randomInt } from 'node:crypto';
import type {
  FileCatalog,
  FileRecord,
  NewFileRecord,
  Reservation,
} from '../../../src/catalog/file-catalog.ts';

/** A catalog that the suite is run against, with what it needs to know of it. */
export interface CatalogSubject {
  /** Opens one more catalog on the same records, as another replica would. The suite closes it. */
  open(): FileCatalog;
  /** Ids that relations `project` (one target) and `tags` (up to ten) may name; ten of each. */
  readonly targets: { readonly project: readonly string[]; readonly tags: readonly string[] };
  /** How to take the catalog away from {@link open}'s catalogs. */
  readonly outage: CatalogOutage | { readonly impossible: string };
  /** What the catalog does in another way than the others, each with the reason why. */
  readonly exceptions: CatalogExceptions;
  /** Ends what was started. */
  dispose(): Promise<void>;
}

/** A network in trouble between a catalog and its server. */
export interface CatalogOutage {
  /** Opens a catalog whose connections can be troubled. */
  open(): FileCatalog;
  cut(): Promise<void>;
  stall(): void;
  restore(): Promise<void>;
  /** Texts that no message may hold: addresses, names of tables, passwords. */
  readonly secrets: readonly string[];
}

/** A reason in place of each promise that a catalog cannot keep to the letter. */
export interface CatalogExceptions {
  /** An attribute that is "" or [] reads as unset. */
  readonly emptyAttributesAreUnset?: string;
  /** Unknown relations, targets and attributes are taken, because there is no schema that names them. */
  readonly hasNoSchema?: string;
  /** Records of another catalog are refused. */
  readonly keepsNoForeignTimes?: string;
}

/** A new file id. */
export function newId(): string {
  const alphabet = 'abcdefghijklmnopqrstuvwxyz0123456789';
  return Array.from({ length: 15 }, () => alphabet[randomInt(36)]).join('');
}

/** A record that is not stored yet, with something in every plain field. */
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

/** Opens a reservation of these ids, or of one, that lasts an hour. */
export function reserve(catalog: FileCatalog, ids: readonly string[] = [newId()]): Promise<Reservation> {
  return catalog.uploads.reserve(ids, new Date(Date.now() + 3_600_000));
}

/** Creates a file under a reservation of its own. */
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

/** The record of an id, which must exist. */
export async function getFile(catalog: FileCatalog, id: string): Promise<FileRecord> {
  const record = (await catalog.get([id])).get(id);
  if (!record) throw new Error(`no record ${id}`);
  return record;
}

/** A record with its bytes as hexadecimal text: arrays of two realms are never equal to Jest. */
export function plain(record: FileRecord): object {
  return { ...record, sha256: record.sha256 && Buffer.from(record.sha256).toString('hex') };
}

/** How each of some promises ended: `ok`, or the reason of its error. */
export async function outcomes(promises: readonly Promise<unknown>[]): Promise<string[]> {
  const results = await Promise.allSettled(promises);
  return results.map((result) =>
    result.status === 'fulfilled'
      ? 'ok'
      : ((result.reason as { reason?: string }).reason ?? String(result.reason)),
  );
}
