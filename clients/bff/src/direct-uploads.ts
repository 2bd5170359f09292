import {
  AssetService,
  type StartUploadRequest,
  StartUploadRequestSchema,
  UploadTransport,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import {
  AssetClientError,
  type FileDescription,
  httpStatus,
  toClientError,
} from '@asset-service/client-core';
import { toFileDescription, toFileMessage } from '@asset-service/client-core/internal';
import { create } from '@bufbuild/protobuf';
import {
  Code,
  ConnectError,
  createContextKey,
  createContextValues,
  type HandlerContext,
} from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { Http2ServerResponse } from 'node:http2';
import type { BffClient } from './client.ts';
import type { NodeRequest } from './upload-from-request.ts';

/** Whose request it is. */
export interface UploadCaller {
  /** The client that calls for this user, from `forUser`. */
  readonly client: BffClient;
  /** Id of the user. Two users never share an upload, whatever their browsers send. */
  readonly userId: string;
}

/** How direct uploads of browsers become files. */
export interface DirectUploadOptions {
  /** Path before `/asset.v1.AssetService`, such as `/api`; the browser's transport has it in its `baseUrl`. */
  readonly path?: string;
  /** The user of a request. It may throw an {@link AssetClientError}, such as UNAUTHENTICATED. */
  readonly caller: (request: NodeRequest) => UploadCaller | Promise<UploadCaller>;
  /**
   * What the file will be. A browser can say anything: take from it only what its user may decide, never the owner.
   * Default: name and type alone.
   */
  readonly describe?: (
    said: FileDescription,
    request: NodeRequest,
  ) => FileDescription | Promise<FileDescription>;
}

const REQUEST = createContextKey<NodeRequest | undefined>(undefined);

/**
 * Creates a handler for `@asset-service/browser`: it serves the five calls of a direct upload over Connect and passes them to
 * the service for the signed-in user. The bytes do not come through it.
 */
export function directUploadHandler(
  options: DirectUploadOptions,
): (request: NodeRequest, response: ServerResponse | Http2ServerResponse) => void {
  const { method } = AssetService;
  const serve =
    <I, O>(
      call: (rpc: BffClient['rpc'], message: I, caller: UploadCaller, request: NodeRequest) => Promise<O>,
    ) =>
    async (message: I, context: HandlerContext): Promise<O> => {
      const request = context.values.get(REQUEST)!;
      try {
        const caller = await options.caller(request);
        return await call(caller.client.rpc, message, caller, request);
      } catch (error) {
        throw forBrowser(error);
      }
    };
  return connectNodeAdapter({
    ...{ requestPathPrefix: options.path ?? '', grpc: false, grpcWeb: false },
    contextValues: (request) => createContextValues().set(REQUEST, request),
    routes(router) {
      router.rpc(
        method.startUpload,
        serve(async (rpc, message, caller, request) =>
          rpc.startUpload(await described(message, caller, request, options)),
        ),
      );
      router.rpc(
        method.getUpload,
        serve((rpc, { uploadId }) => rpc.getUpload({ uploadId })),
      );
      router.rpc(
        method.signUploadParts,
        serve((rpc, { uploadId, partNumbers }) => rpc.signUploadParts({ uploadId, partNumbers })),
      );
      router.rpc(
        method.completeUpload,
        serve((rpc, { uploadId, checksums }) =>
          rpc.completeUpload({ uploadId, ...(checksums && { checksums }) }),
        ),
      );
      router.rpc(
        method.cancelUpload,
        serve((rpc, { uploadId }) => rpc.cancelUpload({ uploadId })),
      );
    },
  });
}

async function described(
  { uploadSpec }: StartUploadRequest,
  { userId }: UploadCaller,
  request: NodeRequest,
  { describe = nameAndType }: DirectUploadOptions,
): Promise<StartUploadRequest> {
  const said: FileDescription = uploadSpec?.file ? toFileDescription(uploadSpec.file) : {};
  const description = await describe(said, request);
  const { owner, usage, relations } = description;
  const requestId = uploadSpec?.requestId;
  const facts = [userId, owner, usage, relations, requestId];
  return create(StartUploadRequestSchema, {
    transport: UploadTransport.DIRECT,
    uploadSpec: {
      file: toFileMessage(description),
      ...(uploadSpec?.sizeBytes !== undefined && { sizeBytes: uploadSpec.sizeBytes }),
      ...(requestId && { requestId: createHash('sha256').update(JSON.stringify(facts)).digest('base64url') }),
    },
  });
}

function nameAndType({ name, contentType }: FileDescription): FileDescription {
  return { name, contentType };
}

const FAILED = 'the upload failed for a reason that is not told here: try again, or report it';
const AWAY = 'the file service cannot be reached or is overloaded: try again in a moment';

/** The error for a browser: from 500 on the message may name addresses of the back end. */
function forBrowser(error: unknown): ConnectError {
  const isOurs = error instanceof AssetClientError || error instanceof ConnectError;
  const failure = isOurs ? toClientError(error) : new AssetClientError('INTERNAL', FAILED);
  const status = httpStatus(failure);
  const message = status < 500 ? failure.message : status === 500 ? FAILED : AWAY;
  const made = new ConnectError(message, codeOf(failure), undefined, undefined, error);
  if (error instanceof ConnectError) made.details = error.details;
  return made;
}

function codeOf({ code }: AssetClientError): Code {
  if (code === 'CANCELLED') return Code.Canceled;
  const name = code
    .toLowerCase()
    .replaceAll(/(?:^|_)([a-z])/g, (_all, letter: string) => letter.toUpperCase());
  return Code[name as keyof typeof Code];
}
