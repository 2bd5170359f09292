import http from 'node:http';
import https from 'node:https';
import { SetupFault } from '../../setup-fault.ts';

/** Shorter than a server keeps a connection that is idle, so that no request goes into one that is being closed. */
const IDLE_TIMEOUT_MS = 4_000;

/** What {@link PocketBaseTransport.fetch} takes of the options of fetch. */
interface FetchOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal?: AbortSignal | null;
}

/**
 * How the SDK of PocketBase sends its requests: over connections that are kept, for a third of the CPU time that the
 * fetch of Node takes.
 */
export class PocketBaseTransport {
  readonly #agents = {
    'http:': new http.Agent({ keepAlive: true, timeout: IDLE_TIMEOUT_MS }),
    'https:': new https.Agent({ keepAlive: true, timeout: IDLE_TIMEOUT_MS }),
  };

  /**
   * Does what the SDK needs of fetch; it answers with no more of a Response than the SDK looks at. Fails if the answer
   * breaks off: the SDK would take half an answer for an empty one, and so what exists for missing.
   */
  readonly fetch = async (url: unknown, options: object = {}): Promise<Response> => {
    const target = new URL(String(url));
    const { method = 'GET', headers = {}, body, signal } = options as FetchOptions;
    const { status, text, type } = await this.#exchange(target, { method, headers }, body, signal);
    // Followed by fetch. The SDK would take it for success.
    if (status >= 300 && status < 400)
      throw new SetupFault('address', `what answers there leads elsewhere (HTTP ${status})`);
    // The SDK would take an answer that is none of PocketBase's for an empty one.
    if (text !== '' && !/\bjson\b/.test(type))
      throw new SetupFault('address', `what answers there is no PocketBase (HTTP ${status} ${type})`);
    const response = {
      ...{ status, url: target.href },
      json: async (): Promise<unknown> => JSON.parse(text),
    };
    return response as unknown as Response;
  };

  /** Lets go of connections. */
  close(): void {
    for (const agent of Object.values(this.#agents)) agent.destroy();
  }

  #exchange(
    target: URL,
    options: http.RequestOptions,
    body: string | undefined,
    signal: AbortSignal | null | undefined,
  ): Promise<{ status: number; text: string; type: string }> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const secure = target.protocol === 'https:';
      const agent = this.#agents[secure ? 'https:' : 'http:'];
      const request = (secure ? https : http).request(target, { ...options, agent });
      const abort = () => request.destroy(signal!.reason as Error);
      signal?.addEventListener('abort', abort, { once: true });
      request.once('close', () => signal?.removeEventListener('abort', abort));
      request.on('error', reject);
      request.on('response', (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (piece: string) => (text += piece));
        response.on('error', reject);
        response.on('end', () => {
          const type = response.headers['content-type'] ?? '';
          resolve({ status: response.statusCode ?? 0, text, type });
        });
      });
      request.end(body);
    });
  }
}

/** What is wrong with the set-up where a superuser cannot sign in. */
export function loginFault(error: unknown): unknown {
  const { status = 0, response } = (error ?? {}) as { status?: number; response?: { message?: string } };
  const said = [`HTTP ${status}`, response?.message ?? ''].filter(Boolean).join(': ');
  if (status === 404)
    return new SetupFault(
      'address',
      `what answers there has no superusers: it takes PocketBase 0.40 (${said})`,
      error,
    );
  // Also what limits where superusers may sign in from, or wants a second factor of them.
  if (status === 400 || status === 401 || status === 403)
    return new SetupFault('login', `PocketBase refuses the login of the superuser (${said})`, error);
  return error;
}
