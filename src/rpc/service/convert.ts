import { create, type JsonObject } from '@bufbuild/protobuf';
import { timestampFromDate, type Duration, type Timestamp, anyPack, type Any } from '@bufbuild/protobuf/wkt';
import {
  Disposition,
  GetFileUrlResponseSchema,
  type FileFilter as FileFilterMessage,
  type GetFileUrlRequest,
  type GetFileUrlResponse,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { FileSchema, type File } from '@asset-service/contract/asset/v1/file_pb.js';
import type { FileDescription, FileFilter, FileRecord } from '../../catalog/file-catalog.ts';
import { fieldInvalid } from '../../errors/fields.ts';
import { cleanTypeFilter } from '../../files/list.ts';
import type { FileUrl, FileUrlRequest } from '../../files/urls.ts';
import { StatusSchema, type Status } from '@asset-service/contract/google/rpc/status_pb.js';
import { toConnectError, type CallIds } from '../interceptors/error-mapping.ts';

/** The message of a record. */
export function toFile(record: FileRecord): File {
  const { sha256, crc32c, deleteTime, purgeTime } = record;
  return create(FileSchema, {
    ...describing(record),
    id: record.id,
    sizeBytes: BigInt(record.sizeBytes),
    checksums: { ...(sha256 && { sha256 }), ...(crc32c !== undefined && { crc32c }) },
    etag: record.revision,
    createTime: timestampFromDate(record.createTime),
    updateTime: timestampFromDate(record.updateTime),
    ...(deleteTime && { deleteTime: timestampFromDate(deleteTime) }),
    ...(purgeTime && { purgeTime: timestampFromDate(purgeTime) }),
    createdBy: record.createdBy,
  });
}

/** The message of a file that is not there yet. */
export function toFileDescription(description: FileDescription): File {
  return create(FileSchema, describing(description));
}

function describing({ name, contentType, owner, usage, relations, attributes }: FileDescription) {
  return {
    ...{ name, contentType, owner, usage },
    relations: Object.fromEntries(Object.entries(relations).map(([name, ids]) => [name, { ids: [...ids] }])),
    attributes: attributes as JsonObject,
  };
}

/**
 * The writable fields of a message; fields that only the service sets are omitted (AIP-203). Keeps empty relations
 * and null attributes, because an update clears them.
 */
export function toDescription(file: File | undefined): FileDescription {
  const relations = Object.entries(file?.relations ?? {});
  return {
    name: file?.name ?? '',
    contentType: file?.contentType ?? '',
    owner: file?.owner ?? '',
    usage: file?.usage ?? '',
    relations: Object.fromEntries(relations.map(([name, targets]) => [name, targets.ids])),
    attributes: file?.attributes ?? {},
  };
}

/**
 * The conditions that are set in a filter message.
 *
 * @throws AssetError FIELD_INVALID
 */
export function toFilter(filter: FileFilterMessage | undefined): FileFilter {
  if (filter === undefined) return {};
  const { owner, usage, relation, createTimeFrom, createTimeTo } = filter;
  const contentType = cleanTypeFilter(filter.contentType, 'filter.content_type');
  return {
    ...(owner && { owner }),
    ...(usage && { usage }),
    ...(relation && { relation: { name: relation.name, id: relation.id } }),
    ...(contentType !== undefined && { contentType }),
    ...(createTimeFrom && { createTimeFrom: toTimeOrLater(createTimeFrom, 'filter.create_time_from') }),
    ...(createTimeTo && { createTimeTo: toTimeOrLater(createTimeTo, 'filter.create_time_to') }),
  };
}

/**
 * Rounds up to whole milliseconds, the precision of records.
 *
 * @throws AssetError FIELD_INVALID outside the range of Timestamp, which the encoding can exceed
 */
function toTimeOrLater({ seconds, nanos }: Timestamp, field: string): Date {
  const isTime = seconds >= FIRST_SECOND && seconds <= LAST_SECOND && nanos >= 0 && nanos < 1e9;
  if (isTime) return new Date(Number(seconds) * 1_000 + Math.ceil(nanos / 1e6));
  throw fieldInvalid(field, 'a time is between the years 1 and 9999, with at most 999999999 nanoseconds');
}

const FIRST_SECOND = BigInt(Date.parse('0001-01-01T00:00:00Z') / 1_000);
const LAST_SECOND = BigInt(Date.parse('9999-12-31T23:59:59Z') / 1_000);

/** The use case's request for a URL. */
export function toFileUrlRequest(request: GetFileUrlRequest): FileUrlRequest {
  return {
    fileId: request.source.case === 'fileId' ? request.source.value : '',
    legacyPath: request.source.case === 'legacyPath' ? request.source.value : '',
    ttlSeconds: request.ttl && toSeconds(request.ttl),
    inline: request.disposition === Disposition.INLINE,
    downloadName: request.downloadName,
    variant: request.variant,
    accept: request.accept,
  };
}

/** The message of a URL. */
export function toFileUrlResponse(fileUrl: FileUrl): GetFileUrlResponse {
  return create(GetFileUrlResponseSchema, {
    url: fileUrl.url,
    expireTime: timestampFromDate(fileUrl.expireTime),
    contentType: fileUrl.contentType,
    sizeBytes: BigInt(fileUrl.sizeBytes),
  });
}

/** Whole seconds, rounded down: a signed URL must not outlive the requested lifetime. */
function toSeconds(duration: Duration): number {
  return Number(duration.seconds);
}

/** The error of a call as a message, for one item of a batch. */
export function toStatus(thrown: unknown, call: CallIds): Status {
  const error = toConnectError(thrown, call);
  const details: Any[] = [];
  for (const detail of error.details) {
    if ('desc' in detail) details.push(anyPack(detail.desc, create(detail.desc, detail.value)));
  }
  return create(StatusSchema, { code: error.code, message: error.rawMessage, details });
}
