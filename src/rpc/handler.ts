import { connectNodeAdapter } from '@connectrpc/connect-node';
import { createValidateInterceptor } from '@connectrpc/validate';
import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { Health } from '@asset-service/contract/grpc/health/v1/health_pb.js';
import type { Logger } from 'pino';
import type { FilesContext } from '../files/context.ts';
import type { HealthMonitor } from '../health.ts';
import { assetServiceRoutes } from './asset-service.ts';
import { MAX_MESSAGE_BYTES } from './errors.ts';
import { healthRoutes } from './health.ts';
import { observe } from './interceptors.ts';
import type { RequestHandler } from './listener.ts';
import { reflectionRoutes } from './reflection.ts';

/** Full names of the RPC services that need the store and the catalog. */
export const RPC_SERVICES = [AssetService.typeName];

/**
 * Answers every RPC, by gRPC, gRPC-Web and Connect.
 *
 * @param fallback - answers what is no RPC; 404 without it
 */
export function rpcHandler(
  files: FilesContext,
  health: HealthMonitor,
  fallback: RequestHandler | undefined,
  log: Logger,
): RequestHandler {
  return connectNodeAdapter({
    routes(router) {
      assetServiceRoutes(files)(router);
      healthRoutes(health)(router);
      reflectionRoutes([AssetService, Health])(router);
    },
    // The first is the outermost: what the validation refuses is logged and given its reason too.
    interceptors: [observe(log), createValidateInterceptor()],
    readMaxBytes: MAX_MESSAGE_BYTES,
    ...(fallback && { fallback }),
  });
}
