import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { ServerReflection } from '@asset-service/contract/grpc/reflection/v1/reflection_pb.js';
import { ServerReflection as ServerReflectionAlpha } from '@asset-service/contract/grpc/reflection/v1alpha/reflection_pb.js';

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
