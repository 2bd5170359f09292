import type { ConnectRouter } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { createValidateInterceptor } from '@connectrpc/validate';
import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { Health } from '@asset-service/contract/grpc/health/v1/health_pb.js';
import { ServerReflection } from '@asset-service/contract/grpc/reflection/v1/reflection_pb.js';
import { ServerReflection as ServerReflectionAlpha } from '@asset-service/contract/grpc/reflection/v1alpha/reflection_pb.js';
import type { Logger } from 'pino';
import type { FilesContext } from '../files/context.ts';
import type { HealthMonitor } from '../health.ts';
import type { Authenticator } from '../identity/authenticator.ts';
import { assetServiceRoutes } from './asset-service.ts';
import { presentedBy } from './credentials.ts';
import type { CallLimits } from './call-limits.ts';
import { limitCalls, limitRefusals } from './limit-interceptors.ts';
import { MAX_MESSAGE_BYTES } from './errors.ts';
import { grpcHandler } from './grpc/handler.ts';
import { healthRoutes } from './health.ts';
import { identify, observe } from './interceptors.ts';
import { boundLists } from './list-bounds.ts';
import type { Handlers, RequestHandler } from './listener.ts';
import { reflectionRoutes } from './reflection.ts';
import { UnseenCalls } from './unseen-calls.ts';

/** Full names of the RPC services that need the store and the catalog. */
export const RPC_SERVICES = [AssetService.typeName];

/**
 * Full names of the RPC services that ask nobody who they are: probes of health have no identity, and reflection tells
 * what the published contract says.
 */
const OPEN_SERVICES = new Set([Health.typeName, ServerReflection.typeName, ServerReflectionAlpha.typeName]);

/** What every call has to pass. */
export interface Gate {
  readonly authenticator: Authenticator;
  readonly limits: CallLimits;
}

/**
 * Answers every RPC, by gRPC, gRPC-Web and Connect.
 *
 * @param fallback - answers what is no RPC; 404 without it
 */
export function rpcHandlers(
  files: FilesContext,
  health: HealthMonitor,
  { authenticator, limits }: Gate,
  fallback: RequestHandler | undefined,
  log: Logger,
): Handlers {
  const options = {
    routes(router: ConnectRouter) {
      assetServiceRoutes(files)(router);
      healthRoutes(health)(router);
      reflectionRoutes([AssetService, Health])(router);
    },
    contextValues: presentedBy,
    // The first is the outermost: whatever is refused is logged and given its reason, and who is not known learns nothing
    // about the request.
    interceptors: [
      observe(log, files.audit, authenticator.challenge),
      limitRefusals(limits),
      identify(authenticator, OPEN_SERVICES),
      limitCalls(limits),
      boundLists(),
      createValidateInterceptor(),
    ],
    readMaxBytes: MAX_MESSAGE_BYTES,
  };
  const unseen = new UnseenCalls(log);
  return {
    onStream: grpcHandler({ ...options, explain: (thrown, context) => unseen.explain(thrown, context) }),
    onRequest: connectNodeAdapter({ ...options, requestGate: unseen.gate, ...(fallback && { fallback }) }),
  };
}
