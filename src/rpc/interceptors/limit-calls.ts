import type { DescMethod } from '@bufbuild/protobuf';
import { MethodOptions_IdempotencyLevel as Idempotency } from '@bufbuild/protobuf/wkt';
import type { Interceptor, StreamResponse } from '@connectrpc/connect';
import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { Health } from '@asset-service/contract/grpc/health/v1/health_pb.js';
import { callerIds, callerKey } from '../../identity/caller.ts';
import { callKey } from './call-context.ts';
import type { CallLimits, Running } from '../gate/call-limits.ts';
import { addressKey } from '../gate/gate.ts';

const { upload, uploadChunk, completeUpload, downloadFile, watchFiles } = AssetService.method;
/** RPCs that last or whose cost depends on their bytes. */
const RUNNING: ReadonlyMap<DescMethod, Running> = new Map<DescMethod, Running>([
  [upload, 'uploads'],
  [uploadChunk, 'uploads'],
  [completeUpload, 'uploads'],
  [downloadFile, 'downloads'],
  [watchFiles, 'watches'],
]);

/**
 * Applies the limits of each caller (a principal with its end user), or of each address if callers are not
 * identified. Runs after the interceptor for identity. Health is never limited.
 */
export function limitCalls(limits: CallLimits): Interceptor {
  return (next) => async (request) => {
    const { service, method, contextValues } = request;
    if (service.typeName === Health.typeName) return next(request);
    const { caller } = contextValues.get(callKey);
    const isKnown = service.typeName === AssetService.typeName;
    const key = isKnown ? callerKey(callerIds(caller)) : addressKey(contextValues);
    const isRead = !isKnown || method.idempotency === Idempotency.NO_SIDE_EFFECTS;
    await limits.count(isRead ? 'reads' : 'writes', key);
    const kind = RUNNING.get(method);
    if (kind === undefined) return next(request);

    const leave = limits.enter(kind, key);
    // A stream that nobody reads any more does not end by itself.
    request.signal.addEventListener('abort', leave, { once: true });
    try {
      const response = await next(request);
      if (response.stream) return { ...response, message: untilOver(response, leave) };
      leave();
      return response;
    } catch (error) {
      leave();
      throw error;
    }
  };
}

async function* untilOver({ message }: StreamResponse, over: () => void) {
  try {
    yield* message;
  } finally {
    over();
  }
}
