import type { S3Client } from '@aws-sdk/client-s3';
import http from 'node:http';
import https from 'node:https';
import type { StoreClock } from './clock.ts';
import { S3Failure } from './errors.ts';
import { S3Signer, toText } from './signature.ts';
import { resolveTarget } from './target.ts';

const CONNECT_TIMEOUT_MS = 3_000;
/** More of an answer than this is not read; what tells the error stands at its beginning. */
const MAX_ANSWER_BYTES = 64 * 1024;

/** A PUT of an object or of one part. */
export interface Put {
  readonly key: string;
  /** Which part; empty for a whole object. */
  readonly query: Readonly<Record<string, string>>;
  /** Names in small letters. Those of the host and of the signature are added. */
  readonly headers: Readonly<Record<string, string>>;
  /** Ends the request. */
  readonly signal: AbortSignal;
}

/** Where the objects of the bucket are, and how requests to it are signed. */
interface Target {
  readonly server: { readonly protocol: string; readonly hostname: string; readonly port?: string };
  /** The header of this name. */
  readonly host: string;
  /** What comes before the key. */
  readonly path: string;
  readonly signer: S3Signer;
}

/**
 * Sends bytes into one bucket. The SDK does the same with its commands, and takes several times the CPU time for it,
 * which is most of the cost of a small file. It lends its endpoint, region and credentials.
 */
export class S3Putter {
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #clock: StoreClock;
  /** In use they are as many as the uploads that were let in. One that waited for a socket would look like a store that stalls. */
  readonly #agents = {
    'http:': new http.Agent({ keepAlive: true, maxFreeSockets: 256 }),
    'https:': new https.Agent({ keepAlive: true, maxFreeSockets: 256 }),
  };
  #target: Promise<Target> | undefined;

  constructor(client: S3Client, bucket: string, clock: StoreClock) {
    this.#client = client;
    this.#bucket = bucket;
    this.#clock = clock;
  }

  /**
   * Sends one request. `write` writes the body and ends it.
   *
   * @returns the entity tag of what was stored
   * @throws S3Failure if the store answers with an error; what the connection fails with otherwise
   */
  async put(put: Put, write: (request: http.ClientRequest) => void): Promise<string> {
    const { server, host, path, signer } = await this.#resolved();
    // The key needs no escaping: its characters stand for themselves.
    const unsigned = {
      ...{ method: 'PUT', path: path + put.key, query: put.query },
      headers: { ...put.headers, host },
    };
    const headers = await signer.sign(unsigned, this.#clock.now());
    put.signal.throwIfAborted();
    const query = toText(put.query);
    const target = query === '' ? unsigned.path : `${unsigned.path}?${query}`;
    const options = { ...server, method: 'PUT', path: target, headers };
    const sentAt = Date.now();
    const answer = await this.#exchange(options, put.signal, write);
    this.#clock.observe(answer.headers.date, sentAt);
    if (answer.status < 300) return answer.headers.etag ?? '';
    throw new S3Failure(answer.status, answer.body);
  }

  /** Lets go of connections. */
  close(): void {
    for (const agent of Object.values(this.#agents)) agent.destroy();
  }

  async #resolved(): Promise<Target> {
    this.#target ??= this.#resolve();
    try {
      return await this.#target;
    } catch (error) {
      this.#target = undefined;
      throw error;
    }
  }

  async #resolve(): Promise<Target> {
    const { url, path, region, service } = await resolveTarget(this.#client, this.#bucket);
    const signer = new S3Signer({ service, region, credentials: this.#client.config.credentials });
    const server = {
      protocol: url.protocol,
      // An IPv6 address stands in brackets in a URL alone.
      hostname: url.hostname.replace(/^\[|\]$/g, ''),
      ...(url.port !== '' && { port: url.port }),
    };
    return { server, host: url.host, path, signer };
  }

  #exchange(
    options: http.RequestOptions,
    signal: AbortSignal,
    write: (request: http.ClientRequest) => void,
  ): Promise<{ status: number; headers: http.IncomingHttpHeaders; body: string }> {
    return new Promise((resolve, reject) => {
      const secure = options.protocol === 'https:';
      const agent = this.#agents[secure ? 'https:' : 'http:'];
      const request = (secure ? https : http).request({ ...options, agent });
      signal.addEventListener('abort', () => request.destroy(signal.reason as Error), { once: true });
      request.on('error', reject);
      request.on('socket', (socket) => {
        if (socket.connecting) limitConnecting(request, secure ? 'secureConnect' : 'connect');
      });
      request.on('response', (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (text: string) => {
          if (body.length < MAX_ANSWER_BYTES) body += text;
        });
        response.on('error', reject);
        response.on('end', () => {
          // Who answers before the body is whole takes no more of it.
          if (!request.writableFinished) request.destroy();
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
        });
      });
      write(request);
    });
  }
}

/** Gives up a connection that does not come about. */
function limitConnecting(request: http.ClientRequest, connected: 'connect' | 'secureConnect'): void {
  const { socket } = request;
  const timer = setTimeout(
    () => request.destroy(new Error(`no connection within ${CONNECT_TIMEOUT_MS} ms`)),
    CONNECT_TIMEOUT_MS,
  );
  const stop = () => clearTimeout(timer);
  socket?.once(connected, stop).once('close', stop);
}
