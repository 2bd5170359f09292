import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { type Client, createClient, type Interceptor, type Transport } from '@connectrpc/connect';
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  createNodeHttpClient,
} from '@connectrpc/connect-node';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { sendAlong } from './call-headers.ts';
import { assertOptions, type AssetClientOptions } from './connection-options.ts';
import { clientClosed } from './errors.ts';
import { identify } from './identify.ts';
import type { RetryPolicy } from './retry.ts';
import { Sessions } from './sessions.ts';
import type { TokenSource } from './tokens.ts';
import { withLeanUploads } from './upload-wire.ts';

const MiB = 1024 * 1024;

/** Maximum message that a client reads: file pieces have at most 2 MiB, other responses less than 4 MiB. */
const READ_MAX_BYTES = 4 * MiB;

/** A transport and how to close it. */
interface Wire {
  transport(interceptors: Interceptor[]): Transport;
  close(): void;
}

function openWire(options: AssetClientOptions): Wire {
  const { baseUrl, tls } = options;
  // Most files are compressed already, so compression only costs time.
  const common = { baseUrl, readMaxBytes: READ_MAX_BYTES, acceptCompression: [] };
  if (options.transport === 'connect' || options.transport === 'grpc-web') {
    const createTransport = options.transport === 'connect' ? createConnectTransport : createGrpcWebTransport;
    const https = new URL(baseUrl).protocol === 'https:';
    const agent = https ? new HttpsAgent({ keepAlive: true, ...tls }) : new HttpAgent({ keepAlive: true });
    return {
      transport: (interceptors) =>
        createTransport({ ...common, interceptors, httpVersion: '1.1', nodeOptions: { agent } }),
      close: () => agent.destroy(),
    };
  }
  const sessionManager = new Sessions(baseUrl, tls);
  return {
    transport: (interceptors) =>
      withLeanUploads(createGrpcTransport({ ...common, interceptors, sessionManager }), {
        ...{ baseUrl, interceptors, readMaxBytes: READ_MAX_BYTES },
        httpClient: createNodeHttpClient({ httpVersion: '2', sessionProvider: () => sessionManager }),
      }),
    close: () => sessionManager.close(),
  };
}

/** What the methods of a client share: generated client, identity, timeouts, retries. */
export class Connection {
  /** The generated client. It sends the identity and does not retry. */
  readonly rpc: Client<typeof AssetService>;
  readonly retry: RetryPolicy;
  readonly callMs: number;
  readonly transferMs: number;
  readonly #options: AssetClientOptions;
  readonly #wire: Wire;
  readonly #shared: boolean;
  #closed = false;

  /** @throws AssetClientError OPTION_INVALID, TOKEN_NOT_PROTECTED */
  constructor(options: AssetClientOptions, shared?: Connection) {
    assertOptions(options);
    this.#options = options;
    this.#shared = shared !== undefined;
    this.#wire = shared === undefined ? openWire(options) : shared.#wire;
    this.retry = options.retry ?? {};
    this.callMs = options.timeouts?.callMs ?? 30_000;
    this.transferMs = options.timeouts?.transferMs ?? 3_600_000;
    const isClosed = () => this.#closed || (shared !== undefined && shared.#closed);
    const refuseIfClosed: Interceptor = (next) => async (request) => {
      if (isClosed()) throw clientClosed();
      return next(request);
    };
    // Checks again after the tokens: the client may be closed while a call waits for one.
    const interceptors = [refuseIfClosed, sendAlong(options.headers), identify(options), refuseIfClosed];
    this.rpc = createClient(AssetService, this.#wire.transport(interceptors));
  }

  /** The same connection for another end user. Closing it does not close the original. */
  forUser(userToken: TokenSource): Connection {
    return new Connection({ ...this.#options, userToken }, this);
  }

  /** Ends running calls and closes the connection. */
  close(): void {
    this.#closed = true;
    if (!this.#shared) this.#wire.close();
  }
}
