import {
  Disposition,
  type GetFileUrlRequestSchema,
  type GetFileUrlResponse,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { durationFromMs, timestampDate } from '@bufbuild/protobuf/wkt';
import { fromArguments } from './arguments.ts';

/** What a URL is to do. */
export interface FileUrlOptions {
  /** How long the URL may be used, in seconds, at least half of it; 15 minutes where left out. */
  readonly ttlSeconds?: number | undefined;
  /** Whether a browser shows the file, where its type is safe to show, or saves it (the default). */
  readonly disposition?: 'inline' | 'attachment' | undefined;
  /** Name under which a browser saves the file. */
  readonly downloadName?: string | undefined;
}

/** A private URL that expires. Whoever holds it can read the file until then. */
export interface FileUrl {
  readonly url: string;
  readonly expireTime: Date | undefined;
  readonly contentType: string;
  readonly sizeBytes: number;
}

/** The message that asks for a URL. */
export function toUrlRequest(
  id: string,
  options: FileUrlOptions,
): MessageInitShape<typeof GetFileUrlRequestSchema> {
  const { ttlSeconds, disposition, downloadName = '' } = options;
  return {
    source: { case: 'fileId', value: id },
    downloadName,
    ...(ttlSeconds === undefined ? {} : { ttl: fromArguments(() => durationFromMs(ttlSeconds * 1000)) }),
    disposition: disposition === 'inline' ? Disposition.INLINE : Disposition.ATTACHMENT,
  };
}

/** The plain object of an answer. */
export function toFileUrl(response: GetFileUrlResponse): FileUrl {
  return {
    url: response.url,
    expireTime: response.expireTime === undefined ? undefined : timestampDate(response.expireTime),
    contentType: response.contentType,
    sizeBytes: Number(response.sizeBytes),
  };
}
