import { createRegistry } from '@bufbuild/protobuf';
import type { ConnectRouter } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { createValidateInterceptor } from '@connectrpc/validate';
import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { file_google_rpc_error_details } from '@asset-service/contract/google/rpc/error_details_pb.js';
import { Health } from '@asset-service/contract/grpc/health/v1/health_pb.js';
import type { Logger } from 'pino';
import type { WatchContext } from '../events/context.ts';
import type { FilesContext } from '../files/context.ts';
import type { CallObserver } from '../telemetry/call-metrics.ts';
import type { HealthMonitor } from '../telemetry/health-monitor.ts';
import type { RequestObserver } from '../telemetry/request-metrics.ts';
import { assetServiceRoutes } from './service/asset-service.ts';
import { presentedBy } from './gate/credentials.ts';
import { Gate, type GateOptions, onAllowedHosts } from './gate/gate.ts';
import { grpcHandler } from './grpc/grpc-handler.ts';
import { encodeResponse } from './service/event-messages.ts';
import { healthRoutes } from './service/health-service.ts';
import { auditRefusals } from './interceptors/audit-refusals.ts';
import { giveCallId, identify } from './interceptors/call-context.ts';
import { logCalls } from './interceptors/call-log.ts';
import { endWithCredential } from './interceptors/credential-expiry.ts';
import { mapErrors } from './interceptors/error-mapping.ts';
import { limitCalls } from './interceptors/limit-calls.ts';
import { boundLists } from './interceptors/list-bounds.ts';
import { traceCalls, traceUseCases } from './interceptors/trace-calls.ts';
import type { Tracing } from '../telemetry/tracing.ts';
import { countContent } from './interceptors/observe-calls.ts';
import type { RequestHandler, Route } from './listener/dispatch.ts';
import type { Handlers } from './listener/listener.ts';
import { observedRequests } from './observed-requests.ts';
import { assertFewElements } from './gate/message-elements.ts';
import { maxMessageBytes, withOptions } from './gate/message-limits.ts';
import { scanMessages } from './gate/message-scan.ts';
import { reflectionRoutes } from './service/reflection-service.ts';
import { UnseenCalls } from './interceptors/unseen-calls.ts';
import { ServerReflection } from '@asset-service/contract/grpc/reflection/v1/reflection_pb.js';
import { ServerReflection as ServerReflectionAlpha } from '@asset-service/contract/grpc/reflection/v1alpha/reflection_pb.js';

/** What is told of calls. */
export interface Telemetry {
  readonly log: Logger;
  readonly observer?: CallObserver | undefined;
  readonly requests?: RequestObserver | undefined;
  readonly tracing?: Tracing | undefined;
}

/** Full names of the RPC services that need the store and the catalog. */
export const RPC_SERVICES = [AssetService.typeName];

/** Answers what is neither an RPC nor another path of the service. */
const notFound: Route = (_request, response) => {
  response.writeHead(404);
  response.end();
  return Promise.resolve();
};

/**
 * Answers every RPC, by gRPC, gRPC-Web and Connect.
 *
 * @param route - answers what is no RPC; default: 404
 */
export function rpcHandlers(
  files: FilesContext,
  watching: WatchContext,
  health: HealthMonitor,
  gateOptions: GateOptions,
  route: Route = notFound,
  { log, observer, requests, tracing }: Telemetry,
): Handlers {
  const { authenticator, limits, allowedHosts } = gateOptions;
  const { challenge } = authenticator;
  const gate = new Gate(gateOptions);
  const options = {
    routes(router: ConnectRouter) {
      const limited = withOptions(router, (method) => ({
        readMaxBytes: maxMessageBytes(method),
      }));
      assetServiceRoutes(files, watching)(limited);
      healthRoutes(health)(limited);
      reflectionRoutes([AssetService, Health])(limited);
      scanMessages(router);
    },
    contextValues: presentedBy,
    // JSON tells the details of an item's error by their type, which it has to know.
    jsonOptions: { registry: createRegistry(file_google_rpc_error_details) },
    // The first is the outermost: whatever is refused is logged and given its reason, and who is not known learns nothing
    // about the request.
    interceptors: [
      giveCallId(),
      ...(tracing ? [traceCalls(tracing)] : []),
      logCalls(log, observer),
      ...(observer ? [countContent(observer)] : []),
      mapErrors(challenge),
      auditRefusals(files.audit),
      identify(),
      endWithCredential(),
      limitCalls(limits),
      boundLists(),
      createValidateInterceptor(),
      ...(tracing ? [traceUseCases(tracing)] : []),
    ],
  };
  const unseen = new UnseenCalls({ log, audit: files.audit, gate, challenge, observer, tracing });
  return {
    onStream: grpcHandler({
      ...{ ...options, maxMessageBytes, inspect: assertFewElements, encode: encodeResponse, gate },
      explain: (thrown, context) => unseen.explain(thrown, context),
    }),
    onRequest: mutedWhenGone(
      connectNodeAdapter({
        ...{ ...options, requestGate: unseen.requestGate },
        fallback: observedRequests(
          allowedHosts ? onAllowedHosts(allowedHosts, route) : route,
          requests,
          tracing,
        ),
      }),
    ),
  };
}

/** Drops what is written to a caller that is gone. Connect would print an error for every watch that a caller ends. */
function mutedWhenGone(handler: RequestHandler): RequestHandler {
  return (request, response) => {
    response.once('close', () => {
      response.write = () => true;
    });
    handler(request, response);
  };
}

const PATHS: ReadonlySet<string> = new Set(
  [AssetService, ServerReflection, ServerReflectionAlpha].flatMap((service) =>
    service.methods
      .filter(({ methodKind }) => methodKind === 'client_streaming' || methodKind === 'bidi_streaming')
      .map(({ name }) => `/${service.typeName}/${name}`),
  ),
);

/** True for a request with a streamed body: client-streaming RPCs, and a PUT of a part. */
export function isStreamingCall(method: string | undefined, path: string | undefined): boolean {
  return method === 'PUT' || PATHS.has(path ?? '');
}
