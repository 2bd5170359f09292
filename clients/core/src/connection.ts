import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import {
  type Client,
  Code,
  ConnectError,
  createClient,
  type Interceptor,
  type Transport,
} from '@connectrpc/connect';
import {
  createConnectTransport,
  createGrpcTransport,
  createNodeHttpClient,
  Http2SessionManager,
} from '@connectrpc/connect-node';
import { Agent as HttpAgent } from 'node:http';
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';
import { Agent as HttpsAgent } from 'node:https';
import { identify } from './identify.ts';
import type { RetryPolicy } from './retry.ts';
import type { TokenSource } from './tokens.ts';
import { withLeanUploads } from './upload-wire.ts';

/** How a client reaches the service, and as whom. */
export interface AssetClientOptions {
  /** Where the service is, such as `http://127.0.0.1:8080`. */
  readonly baseUrl: string;
  /**
   * `grpc` (the default) is gRPC over HTTP/2; `connect` is the Connect protocol over HTTP/1.1, for networks whose proxies do
   * not pass HTTP/2.
   */
  readonly transport?: 'grpc' | 'connect';
  /** Identity of this service: sent as `authorization: Bearer`; see {@link clientCredentials} for one that an issuer knows. */
  readonly token?: TokenSource;
  /** Identity of the person that this service calls for: sent as `asset-user-token`. */
  readonly userToken?: TokenSource;
  /** Time for a call with all of its retries, in milliseconds; 0 for no bound. A call's own `timeoutMs` goes first. */
  readonly timeouts?: {
    /** Calls that move no bytes; 30 seconds where left out. */
    readonly callMs?: number;
    /** Uploads and downloads; one hour where left out. */
    readonly transferMs?: number;
  };
  /** Certificates in PEM: `ca` to trust, `cert` and `key` to show. */
  readonly tls?: {
    readonly ca?: string | Buffer;
    readonly cert?: string | Buffer;
    readonly key?: string | Buffer;
  };
  /** How failed calls are made again. */
  readonly retry?: RetryPolicy;
}

const MiB = 1024 * 1024;

/**
 * How much a download may have in flight. The 64 KiB that HTTP/2 begins with hold a download at 64 KiB a round trip; 8 MiB
 * carry 100 MB/s over 40 ms. It is also what a reader that stalls can pile up, for each download.
 */
const STREAM_WINDOW = 8 * MiB;
const CONNECTION_WINDOW = 32 * MiB;

/** The longest message that a client reads: pieces are at most 2 MiB, and a page of records is smaller. */
const READ_MAX_BYTES = 4 * MiB;

/** Keeps one HTTP/2 connection, as its base does, and widens the connection's window, which no setting does. */
class WideSessionManager extends Http2SessionManager {
  readonly #widened = new WeakSet<ClientHttp2Session>();

  override async request(...call: Parameters<Http2SessionManager['request']>): Promise<ClientHttp2Stream> {
    const stream = await super.request(...call);
    const session = stream.session as ClientHttp2Session | undefined;
    if (session !== undefined && !this.#widened.has(session)) {
      this.#widened.add(session);
      session.setLocalWindowSize(CONNECTION_WINDOW);
    }
    return stream;
  }
}

/** A way of making calls, and of letting go of what it holds. */
interface Wire {
  transport(interceptors: Interceptor[]): Transport;
  close(): void;
}

function openWire(options: AssetClientOptions): Wire {
  const { baseUrl, tls } = options;
  // Most files are compressed already; squeezing them again costs time and gains nothing.
  const common = { baseUrl, readMaxBytes: READ_MAX_BYTES, acceptCompression: [] };
  if (options.transport === 'connect') {
    const https = new URL(baseUrl).protocol === 'https:';
    const agent = https ? new HttpsAgent({ keepAlive: true, ...tls }) : new HttpAgent({ keepAlive: true });
    return {
      transport: (interceptors) =>
        createConnectTransport({ ...common, interceptors, httpVersion: '1.1', nodeOptions: { agent } }),
      close: () => agent.destroy(),
    };
  }
  const sessionManager = new WideSessionManager(
    baseUrl,
    // A peer that vanished without a word is found out while a call waits for it, not hours later.
    { pingIntervalMs: 20_000, pingTimeoutMs: 10_000 },
    {
      ...tls,
      settings: { initialWindowSize: STREAM_WINDOW, enablePush: false },
      // Node.js refuses new streams past 10 MB of unsent data, which a dozen uploads at once come to.
      maxSessionMemory: 256,
    },
  );
  return {
    transport: (interceptors) =>
      withLeanUploads(createGrpcTransport({ ...common, interceptors, sessionManager }), {
        ...{ baseUrl, interceptors, readMaxBytes: READ_MAX_BYTES },
        httpClient: createNodeHttpClient({ httpVersion: '2', sessionProvider: () => sessionManager }),
      }),
    close: () => sessionManager.abort(),
  };
}

/** What the use cases of a client stand on: the generated client, who is calling, and how patient it is. */
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

  constructor(options: AssetClientOptions, shared?: Connection) {
    this.#options = options;
    this.#shared = shared !== undefined;
    this.#wire = shared === undefined ? openWire(options) : shared.#wire;
    this.retry = options.retry ?? {};
    this.callMs = options.timeouts?.callMs ?? 30_000;
    this.transferMs = options.timeouts?.transferMs ?? 3_600_000;
    const isClosed = () => this.#closed || (shared !== undefined && shared.#closed);
    const refuseIfClosed: Interceptor = (next) => (request) => {
      if (isClosed()) throw new ConnectError('the client is closed', Code.FailedPrecondition);
      return next(request);
    };
    this.rpc = createClient(AssetService, this.#wire.transport([refuseIfClosed, identify(options)]));
  }

  /** The same connection, calling for another person. Closing it leaves the one that it came from open. */
  forUser(userToken: TokenSource): Connection {
    return new Connection({ ...this.#options, userToken }, this);
  }

  /** Ends what is still running and lets go of the network. */
  close(): void {
    this.#closed = true;
    if (!this.#shared) this.#wire.close();
  }
}
