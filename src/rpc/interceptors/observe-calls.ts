import type { DescMethod } from '@bufbuild/protobuf';
import type { ContextValues, Interceptor, StreamRequest, UnaryRequest } from '@connectrpc/connect';
import {
  type ChecksummedData,
  DownloadFileResponseSchema,
  UploadChunkRequestSchema,
  UploadRequestSchema,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import type { CallObserver, EndedCall } from '../../telemetry/call-metrics.ts';
import { presentedKey } from '../gate/credentials.ts';

/** Messages with bytes of files. */
const CONTENT: ReadonlySet<unknown> = new Set([
  UploadRequestSchema,
  UploadChunkRequestSchema,
  DownloadFileResponseSchema,
]);

/** Reports the bytes of files in messages. Costs other calls nothing. */
export function countContent(observer: CallObserver): Interceptor {
  return (next) => (request) => {
    const { input, output } = request.method;
    return CONTENT.has(input) || CONTENT.has(output) ? counted(observer, next, request) : next(request);
  };
}

async function counted(
  observer: CallObserver,
  next: Parameters<Interceptor>[0],
  request: UnaryRequest | StreamRequest,
) {
  const { input, output } = request.method;
  let outgoing = request;
  if (CONTENT.has(input)) {
    if (request.stream) {
      outgoing = { ...request, message: tapped(request.message, (bytes) => observer.received(bytes)) };
    } else observer.received(contentBytes(request.message));
  }
  const response = await next(outgoing);
  if (!response.stream || !CONTENT.has(output)) return response;
  return { ...response, message: tapped(response.message, (bytes) => observer.sent(bytes)) };
}

const names = new Map<DescMethod, string>();

/** A call for the observer, with the time since its headers arrived. */
export function endedCall(
  method: DescMethod,
  values: ContextValues,
  code: string,
  reason: string,
): EndedCall {
  const durationMs = performance.now() - values.get(presentedKey).arrivedAt;
  return { method: nameOf(method), code, reason, durationMs };
}

/** The full name, such as `asset.v1.AssetService/GetFile`. Kept, because this runs for every call. */
export function nameOf(method: DescMethod): string {
  let name = names.get(method);
  if (name === undefined) {
    name = `${method.parent.typeName}/${method.name}`;
    names.set(method, name);
  }
  return name;
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
