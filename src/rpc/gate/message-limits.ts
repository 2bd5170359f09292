import type { DescMethod } from '@bufbuild/protobuf';
import type { ConnectRouter } from '@connectrpc/connect';
import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';

const KIBIBYTE = 1024;

/** Maximum size of a request message, in bytes. A piece of a file has at most 2 MiB; other messages are smaller. */
export const MAX_MESSAGE_BYTES = 4096 * KIBIBYTE;

/** Enough for every message that holds ids, an etag, a filter or a page token. */
const SMALL_BYTES = 16 * KIBIBYTE;

const { upload, uploadChunk, startUpload, updateMetadata, batchGetFiles, batchGetFileUrls } =
  AssetService.method;

/** RPCs whose messages may be longer. */
const LONGER: ReadonlyMap<DescMethod, number> = new Map<DescMethod, number>([
  [upload, MAX_MESSAGE_BYTES],
  [uploadChunk, MAX_MESSAGE_BYTES],
  // A description: 64 KiB of attributes, which take more in binary, and 512 KiB of relations.
  [startUpload, 1280 * KIBIBYTE],
  [updateMetadata, 1280 * KIBIBYTE],
  // 1,000 ids.
  [batchGetFiles, 64 * KIBIBYTE],
  // 1,000 requests, each with a name.
  [batchGetFileUrls, 1280 * KIBIBYTE],
]);

/**
 * Maximum length of an uncompressed message of an RPC, in bytes. Each RPC has its own limit, because a message takes
 * memory while it arrives and time to decode: one that can only be refused is not read.
 */
export function maxMessageBytes(method: DescMethod): number {
  return LONGER.get(method) ?? SMALL_BYTES;
}

/**
 * A router that registers each RPC with its own options.
 *
 * @param optionsOf - options for Connect, such as `readMaxBytes`
 */
export function withOptions(router: ConnectRouter, optionsOf: (method: DescMethod) => object): ConnectRouter {
  const limited: ConnectRouter = {
    handlers: router.handlers,
    service(service, implementation) {
      for (const method of service.methods) {
        const implemented = (implementation as Record<string, ((...args: never[]) => unknown) | undefined>)[
          method.localName
        ];
        if (implemented === undefined) continue;
        type Rpc = (method: DescMethod, implementation: unknown, options: object) => ConnectRouter;
        (router.rpc as unknown as Rpc)(method, implemented.bind(implementation), {
          ...optionsOf(method),
        });
      }
      return limited;
    },
    rpc(method, implementation, options) {
      router.rpc(method, implementation, { ...optionsOf(method), ...options });
      return limited;
    },
  };
  return limited;
}
