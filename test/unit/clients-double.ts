import { durationFromMs } from '@bufbuild/protobuf/wkt';
import {
  AssetService,
  type UploadRequest,
  type UploadSpec,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from '@asset-service/contract/google/rpc/error_details_pb.js';
import { type Code, ConnectError, type ServiceImpl } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { createServer as createHttp1 } from 'node:http';
import {
  createSecureServer,
  createServer as createHttp2,
  type SecureServerOptions,
  type ServerHttp2Session,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';

/** A server of the contract whose answers a test decides, on a real socket. */
export interface Double extends AsyncDisposable {
  readonly baseUrl: string;
  /** Connections made so far. */
  readonly sockets: Set<Socket>;
  /** HTTP/2 sessions opened so far. */
  readonly sessions: ServerHttp2Session[];
  /** Cuts every connection, as a crash does. */
  cut(): void;
}

/** The description in the first message of an upload. */
export function specOf(messages: readonly UploadRequest[]): UploadSpec {
  const first = messages[0]?.firstMessage;
  if (first?.case !== 'uploadSpec') throw new Error('the first message describes no file');
  return first.value;
}

/** The adapter tells the console of every connection that went away under it, which here is what is tested. */
function quietly(): void {
  console.error = () => undefined;
}

/** Starts a double; `http1` serves the Connect protocol over HTTP/1.1. */
export async function startDouble(
  methods: Partial<ServiceImpl<typeof AssetService>>,
  { http1 = false, port = 0, tls }: { http1?: boolean; port?: number; tls?: SecureServerOptions } = {},
): Promise<Double> {
  quietly();
  const handler = connectNodeAdapter({ routes: (router) => router.service(AssetService, methods) });
  const settings = { initialWindowSize: 1 << 20 };
  const server =
    tls !== undefined
      ? createSecureServer({ ...tls, settings, allowHTTP1: true }, handler)
      : http1
        ? createHttp1(handler)
        : createHttp2({ settings }, handler);
  const sessions: ServerHttp2Session[] = [];
  server.on('session', (session: ServerHttp2Session) => sessions.push(session));
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const cut = () => sockets.forEach((socket) => socket.destroy());
  return {
    baseUrl: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    sockets,
    sessions,
    cut,
    async [Symbol.asyncDispose]() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** An error as the service makes it. */
export function serviceError(
  code: Code,
  reason: string,
  {
    retryMs,
    field,
    metadata = {},
  }: { retryMs?: number; field?: string; metadata?: Record<string, string> } = {},
): ConnectError {
  return new ConnectError(`failed by the test: ${reason}`, code, undefined, [
    { desc: ErrorInfoSchema, value: { reason: `ERROR_REASON_${reason}`, domain: 'asset.v1', metadata } },
    ...(retryMs === undefined
      ? []
      : [{ desc: RetryInfoSchema, value: { retryDelay: durationFromMs(retryMs) } }]),
    ...(field === undefined
      ? []
      : [{ desc: BadRequestSchema, value: { fieldViolations: [{ field, description: 'must not be' }] } }]),
  ]);
}
