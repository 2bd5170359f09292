import {
  type Checksums,
  type File,
  FileSchema,
  RelationTargetsSchema,
} from '@asset-service/contract/asset/v1/file_pb.js';
import { create, type JsonValue } from '@bufbuild/protobuf';
import { type Timestamp, timestampDate } from '@bufbuild/protobuf/wkt';
import { assertIds, assertJson, assertText } from './arguments.ts';
import { AssetClientError } from './errors.ts';

/** Writable fields of a file. */
export interface FileDescription {
  /** Display name; never a path. */
  readonly name?: string | undefined;
  /** Media type; the service detects it by default. */
  readonly contentType?: string | undefined;
  /** Id of the owner. */
  readonly owner?: string | undefined;
  /** What the file is for; selects the usage policy. */
  readonly usage?: string | undefined;
  /** Relation targets by name of the relation. */
  readonly relations?: Readonly<Record<string, readonly string[]>> | undefined;
  /** Other fields by name. */
  readonly attributes?: Readonly<Record<string, JsonValue>> | undefined;
}

/**
 * The record of a file as a plain object. It has an id, never a location. If an earlier call finished the upload
 * and the caller may not read the file, only the id is set; other fields are empty or 0.
 */
export interface AssetFile {
  readonly id: string;
  readonly name: string;
  readonly contentType: string;
  readonly sizeBytes: number;
  /** SHA-256 in lower-case hexadecimal; undefined for a file whose bytes were never read. */
  readonly sha256: string | undefined;
  /** CRC32C as an unsigned number; undefined like `sha256`. */
  readonly crc32c: number | undefined;
  /** Empty if the file has no owner. */
  readonly owner: string;
  /** Empty if the file has no usage. */
  readonly usage: string;
  readonly relations: Readonly<Record<string, readonly string[]>>;
  readonly attributes: Readonly<Record<string, JsonValue>>;
  /** Changes with every change of the record; send it back to change only what was read. */
  readonly etag: string;
  readonly createTime: Date | undefined;
  readonly updateTime: Date | undefined;
  /** Set while the file is soft-deleted. */
  readonly deleteTime: Date | undefined;
  /** When a soft-deleted file is removed permanently. */
  readonly purgeTime: Date | undefined;
  /** The principal that uploaded the file. */
  readonly createdBy: string;
  /** A placeholder of the image (ThumbHash); only from `getFile`, if a variant of the file was made. */
  readonly thumbhash?: Uint8Array | undefined;
  /** Names of the variants that may be requested; only from `getFile`, if there are any. */
  readonly variants?: readonly string[] | undefined;
}

/** Changes of a record: omitted fields stay; an empty list clears a relation, null an attribute. */
export type FileChanges = FileDescription;

/** The plain object of a message. */
export function toAssetFile(file: File): AssetFile {
  return {
    id: file.id,
    ...toFileDescription(file),
    sizeBytes: Number(file.sizeBytes),
    ...toPlainChecksums(file.checksums),
    etag: file.etag,
    createTime: toDate(file.createTime),
    updateTime: toDate(file.updateTime),
    deleteTime: toDate(file.deleteTime),
    purgeTime: toDate(file.purgeTime),
    createdBy: file.createdBy,
  };
}

/** The writable fields of a message. */
export function toFileDescription({ name, contentType, owner, usage, relations, attributes = {} }: File) {
  return {
    ...{ name, contentType, owner, usage, attributes },
    relations: Object.fromEntries(Object.entries(relations).map(([relation, { ids }]) => [relation, ids])),
  };
}

/** The record of a response that must have one. */
export function recordOf(file: File | undefined): AssetFile {
  if (file === undefined) throw new AssetClientError('INTERNAL', 'the service answered without a file');
  return toAssetFile(file);
}

/** The message of a description. */
export function toFileMessage(description: FileDescription, id = '', etag = ''): File {
  const { relations = {}, attributes } = description;
  for (const [name, value] of Object.entries(attributes ?? {})) assertJson(`attributes.${name}`, value);
  return create(FileSchema, {
    id,
    etag,
    name: assertText('name', description.name),
    contentType: assertText('contentType', description.contentType),
    owner: assertText('owner', description.owner),
    usage: assertText('usage', description.usage),
    relations: Object.fromEntries(
      Object.entries(relations).map(([name, ids]) => [
        name,
        create(RelationTargetsSchema, { ids: [...assertIds(`relations.${name}`, ids)] }),
      ]),
    ),
    // In an update null clears the attribute.
    ...(attributes !== undefined && { attributes: { ...attributes } }),
  });
}

/** The mask of an update: the fields in `changes`, with each relation and attribute by name. */
export function toUpdateMask(changes: FileChanges): string[] {
  const plain = { name: 'name', contentType: 'content_type', owner: 'owner', usage: 'usage' } as const;
  return [
    ...Object.entries(plain)
      .filter(([key]) => changes[key as keyof typeof plain] !== undefined)
      .map(([, path]) => path),
    ...Object.keys(changes.relations ?? {}).map((name) => `relations.${name}`),
    ...Object.keys(changes.attributes ?? {}).map((name) => `attributes.${name}`),
  ];
}

function toPlainChecksums(checksums: Checksums | undefined): Pick<AssetFile, 'sha256' | 'crc32c'> {
  const sha256 = checksums?.sha256 ?? new Uint8Array();
  return {
    sha256: sha256.length === 0 ? undefined : Buffer.from(sha256).toString('hex'),
    crc32c: checksums?.crc32c,
  };
}

function toDate(time: Timestamp | undefined): Date | undefined {
  return time === undefined ? undefined : timestampDate(time);
}
