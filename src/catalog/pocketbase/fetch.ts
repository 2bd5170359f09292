import http from 'node:http';
import https from 'node:https';
import { SetupFault } from '../../errors/setup-fault.ts';
import { toldRequest } from '../../system/requests.ts';

/** Shorter than a server keeps idle connections, so that no request is sent on one that is being closed. */
const IDLE_TIMEOUT_MS = 4_000;

/** The options of fetch that {@link PocketBaseTransport.fetch} uses. */
interface FetchOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal?: AbortSignal | null;
}

/** HTTP transport of the PocketBase SDK with kept connections; needs a third of the CPU time of Node.js's fetch. */
export class PocketBaseTransport {
  readonly #agents = {
    'http:': new http.Agent({ keepAlive: true, timeout: IDLE_TIMEOUT_MS }),
    'https:': new https.Agent({ keepAlive: true, timeout: IDLE_TIMEOUT_MS }),
  };

  /**
   * The part of fetch that the SDK needs; returns the parts of a Response that the SDK reads. Fails if the response
   * is cut off: the SDK would read a partial response as empty, and so what exists as missing.
   */
  readonly fetch = async (url: unknown, options: object = {}): Promise<Response> => {
    const target = new URL(String(url));
    const { method = 'GET', headers = {}, body, signal } = options as FetchOptions;
    const name = `${method} ${pathWithoutIds(target.pathname)}`;
    const { status, text, type } = await toldRequest({ system: 'pocketbase', name }, () =>
      this.#exchange(target, { method, headers }, body, signal),
    );
    // fetch follows redirects; the SDK would treat one as success.
    if (status >= 300 && status < 400)
      throw new SetupFault('address', `what answers there leads elsewhere (HTTP ${status})`);
    // The SDK would read a response that is not PocketBase's as empty.
    if (text !== '' && !/\bjson\b/.test(type))
      throw new SetupFault('address', `what answers there is no PocketBase (HTTP ${status} ${type})`);
    const response = {
      ...{ status, url: target.href },
      json: async (): Promise<unknown> => JSON.parse(text),
    };
    return response as unknown as Response;
  };

  /** Closes connections. */
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

/** A path whose ids of records are left out. */
function pathWithoutIds(path: string): string {
  return path.replace(/(\/records)\/.*$/, '$1/{id}');
}

/** The setup fault if a superuser cannot sign in. */
export function loginFault(error: unknown): unknown {
  const { status = 0, response } = (error ?? {}) as { status?: number; response?: { message?: string } };
  const said = [`HTTP ${status}`, response?.message ?? ''].filter(Boolean).join(': ');
  if (status === 404)
    return new SetupFault(
      'address',
      `what answers there has no superusers: it takes PocketBase 0.40 (${said})`,
      error,
    );
  // Also if sign-in of superusers is limited by address or needs a second factor.
  if (status === 400 || status === 401 || status === 403)
    return new SetupFault('login', `PocketBase refuses the login of the superuser (${said})`, error);
  return error;
}
