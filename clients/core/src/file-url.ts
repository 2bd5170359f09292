import {
  Disposition,
  type GetFileUrlRequestSchema,
  type GetFileUrlResponse,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { durationFromMs, timestampDate } from '@bufbuild/protobuf/wkt';
import { assertText, fromArguments } from './arguments.ts';

/** Options of a URL. */
export interface FileUrlOptions {
  /** Lifetime of the URL in seconds; it lives at least half of it. Default 15 minutes. */
  readonly ttlSeconds?: number | undefined;
  /** Whether a browser shows the file (if its type is safe) or saves it (default). */
  readonly disposition?: 'inline' | 'attachment' | undefined;
  /** Name under which a browser saves the file. */
  readonly downloadName?: string | undefined;
  /** Name of a variant of the file in its usage policy, such as `thumb`; default the file itself. */
  readonly variant?: string | undefined;
  /** The `Accept` header of the browser: picks the format of a variant. Send `Vary: Accept` with what depends on it. */
  readonly accept?: string | undefined;
}

/** A signed URL that expires. Whoever has it can read the file until then. */
export interface FileUrl {
  readonly url: string;
  readonly expireTime: Date | undefined;
  readonly contentType: string;
  readonly sizeBytes: number;
}

/** The request for a URL. */
export function toUrlRequest(
  id: string,
  options: FileUrlOptions,
): MessageInitShape<typeof GetFileUrlRequestSchema> {
  const { ttlSeconds, disposition, downloadName = '', variant = '', accept = '' } = options;
  return {
    source: { case: 'fileId', value: id },
    downloadName,
    variant,
    accept,
    ...(ttlSeconds === undefined ? {} : { ttl: fromArguments(() => durationFromMs(ttlSeconds * 1000)) }),
    disposition: disposition === 'inline' ? Disposition.INLINE : Disposition.ATTACHMENT,
  };
}

/** The message that asks for the URL of a file of the old system, by its path there. */
export function toLegacyUrlRequest(
  path: string,
  options: FileUrlOptions,
): MessageInitShape<typeof GetFileUrlRequestSchema> {
  return {
    ...toUrlRequest('', options),
    source: { case: 'legacyPath', value: assertText('path', path) },
  };
}

/** The plain object of a response. */
export function toFileUrl(response: GetFileUrlResponse): FileUrl {
  return {
    url: response.url,
    expireTime: response.expireTime === undefined ? undefined : timestampDate(response.expireTime),
    contentType: response.contentType,
    sizeBytes: Number(response.sizeBytes),
  };
}
