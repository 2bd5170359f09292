import { ConnectError, type ContextValues, type Interceptor } from '@connectrpc/connect';
import type { DescMethod } from '@bufbuild/protobuf';
import {
  type ChecksummedData,
  DownloadFileResponseSchema,
  UploadChunkRequestSchema,
  UploadRequestSchema,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import type { CallObserver, EndedCall } from '../../telemetry/call-metrics.ts';
import { presentedKey } from '../gate/credentials.ts';
import { atEnd } from './call-context.ts';
import { codeName, reasonOf } from './error-details.ts';

/** Messages with bytes of files. */
const CONTENT: ReadonlySet<unknown> = new Set([
  UploadRequestSchema,
  UploadChunkRequestSchema,
  DownloadFileResponseSchema,
]);

/** Reports each call and its bytes. The outermost interceptor: it sees errors as the caller gets them. */
export function observeCalls(observer: CallObserver): Interceptor {
  const ends = atEnd(({ method, contextValues }) => {
    const end = (code: string, reason = '') =>
      observer.ended(endedCall(method, contextValues, code, reason), true);
    return {
      succeeded: () => end('OK'),
      canceled: () => end('CANCELED'),
      failed: (thrown) => {
        const error = ConnectError.from(thrown);
        end(codeName(error.code), reasonOf(error));
        return thrown;
      },
    };
  });
  return (next) =>
    ends(async (request) => {
      observer.begun();
      if (!request.stream) {
        if (CONTENT.has(request.method.input)) observer.received(contentBytes(request.message));
        return next(request);
      }
      const counted = CONTENT.has(request.method.input)
        ? { ...request, message: tapped(request.message, (bytes) => observer.received(bytes)) }
        : request;
      const response = await next(counted);
      if (!response.stream || !CONTENT.has(request.method.output)) return response;
      return { ...response, message: tapped(response.message, (bytes) => observer.sent(bytes)) };
    });
}

/** A call for the observer, with the time since its headers arrived. */
export function endedCall(
  method: DescMethod,
  values: ContextValues,
  code: string,
  reason: string,
): EndedCall {
  const durationMs = performance.now() - values.get(presentedKey).arrivedAt;
  return { method: `${method.parent.typeName}/${method.name}`, code, reason, durationMs };
}

async function* tapped<T>(messages: AsyncIterable<T>, count: (bytes: number) => void): AsyncGenerator<T> {
  for await (const message of messages) {
    count(contentBytes(message));
    yield message;
  }
}

function contentBytes(message: unknown): number {
  return (message as { readonly data?: ChecksummedData }).data?.content.length ?? 0;
}
