import type { S3Client } from '@aws-sdk/client-s3';
import http from 'node:http';
import https from 'node:https';
import { toldRequest } from '../../system/requests.ts';
import type { StoreClock } from './clock.ts';
import { S3Failure } from './failures.ts';
import { S3Signer, toText } from './signature.ts';
import { resolvedOnce, resolveTarget } from './target.ts';

const CONNECT_TIMEOUT_MS = 3_000;
/** Maximum number of bytes read from a response; the error is at its start. */
const MAX_ANSWER_BYTES = 64 * 1024;

/** A PUT of an object or of one part. */
export interface Put {
  readonly key: string;
  /** Query of a part; empty for a whole object. */
  readonly query: Readonly<Record<string, string>>;
  /** Lower-case names. Host and signature headers are added. */
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** Address of the bucket's objects, and the signer. */
interface Target {
  readonly server: { readonly protocol: string; readonly hostname: string; readonly port?: string };
  /** Value of the `host` header. */
  readonly host: string;
  /** Path before the key. */
  readonly path: string;
  readonly signer: S3Signer;
}

/**
 * Sends bytes to one bucket. The SDK's commands need several times the CPU time, most of the cost of a small file.
 * The SDK provides endpoint, region and credentials.
 */
export class S3Putter {
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #clock: StoreClock;
  /**
   * As many as there are running uploads, which are limited elsewhere. An upload waiting for a socket would look
   * like a stalled store.
   */
  readonly #agents = {
    'http:': new http.Agent({ keepAlive: true, maxFreeSockets: 256 }),
    'https:': new https.Agent({ keepAlive: true, maxFreeSockets: 256 }),
  };
  readonly #target = resolvedOnce(() => this.#resolve());

  constructor(client: S3Client, bucket: string, clock: StoreClock) {
    this.#client = client;
    this.#bucket = bucket;
    this.#clock = clock;
  }

  /**
   * Sends one request. `write` writes the body and ends it.
   *
   * @returns the entity tag of the stored object
   * @throws S3Failure if the store responds with an error; otherwise the error of the connection
   */
  async put(put: Put, write: (request: http.ClientRequest) => void): Promise<string> {
    const { server, host, path, signer } = await this.#target();
    // Keys have no characters that need escaping.
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
    const name = 'partNumber' in put.query ? 'UploadPart' : 'PutObject';
    return toldRequest({ system: 's3', name }, async () => {
      const answer = await this.#exchange(options, put.signal, write);
      this.#clock.observe(answer.headers.date, sentAt);
      if (answer.status < 300) return answer.headers.etag ?? '';
      throw new S3Failure(answer.status, answer.body);
    });
  }

  /** Closes connections. */
  close(): void {
    for (const agent of Object.values(this.#agents)) agent.destroy();
  }

  async #resolve(): Promise<Target> {
    const { url, path, region, service } = await resolveTarget(this.#client, this.#bucket);
    const signer = new S3Signer({ service, region, credentials: this.#client.config.credentials });
    const server = {
      protocol: url.protocol,
      // An IPv6 address has brackets only in a URL.
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
          // A store that responds before the end of the body does not read the rest.
          if (!request.writableFinished) request.destroy();
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
        });
      });
      write(request);
    });
  }
}

/** Limits the time to connect. */
function limitConnecting(request: http.ClientRequest, connected: 'connect' | 'secureConnect'): void {
  const { socket } = request;
  const timer = setTimeout(
    () => request.destroy(new Error(`no connection within ${CONNECT_TIMEOUT_MS} ms`)),
    CONNECT_TIMEOUT_MS,
  );
  const stop = () => clearTimeout(timer);
  socket?.once(connected, stop).once('close', stop);
}
