import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { join } from 'node:path';
import { FLAGS, ROOT } from './install.ts';
import { freePort } from './ports.ts';
import { makeDir, startServer, type Server } from './process.ts';

/** The service as a separate process, as operators run it. */
export type Service = Server & {
  /** Its address, such as `http://127.0.0.1:40001`; stays the same after a restart. */
  readonly url: string;
  readonly port: number;
  /** Sends it a signal without waiting. */
  signal(signal: NodeJS.Signals): void;
  /** Stops it normally and starts it again. */
  restart(): Promise<void>;
  /** The JSON lines of its log since its first start, parsed, without those of the audit log. */
  logLines(): Record<string, unknown>[];
  /** The audit log lines on its standard output. */
  auditLines(): Record<string, unknown>[];
};

/** Options of {@link startService}. */
export interface ServiceOptions {
  /** What to wait for: SERVING by default, or any answer, for a service whose dependencies are down. */
  readonly until?: 'serving' | 'answering';
  /** Loopback port; default a free one. */
  readonly port?: number;
  /** True for the built program in dist, as in the image; default the sources. */
  readonly built?: boolean;
  /** Directory of the repository, or of a copy of it. */
  readonly root?: string;
}

/**
 * Starts `asset-service serve` with these settings, otherwise the embedded defaults, and waits until its health is
 * SERVING. A second one with the same settings is a replica. Takes about two seconds.
 */
export async function startService(
  env: Readonly<Record<string, string>> = {},
  options: ServiceOptions = {},
): Promise<Service> {
  const dir = await makeDir('service');
  const port = options.port ?? (await freePort());
  const url = `${env['ASSET_TLS_CERT'] ? 'https' : 'http'}://127.0.0.1:${port}`;
  const wanted = options.until === 'answering' ? ['SERVING', 'NOT_SERVING'] : ['SERVING'];
  const server = await startServer({
    name: 'Asset Service',
    command: process.execPath,
    args: [
      ...FLAGS,
      join(options.root ?? ROOT, ...(options.built ? ['dist', 'main.js'] : ['src', 'main.ts'])),
      'serve',
    ],
    env: { ASSET_DATA_DIR: join(dir, 'data'), ...env, ASSET_LISTEN: `127.0.0.1:${port}` },
    dir,
    ownsDir: true,
    ready: async () => wanted.includes(await healthOf(url)),
  });
  const lines = () => server.log().split('\n').flatMap(parsed);
  return Object.assign(server, {
    url,
    port,
    signal(signal: NodeJS.Signals) {
      if (server.pid !== undefined) process.kill(server.pid, signal);
    },
    async restart() {
      await server.stop();
      await server.start();
    },
    logLines: () => lines().filter(({ msg }) => msg !== 'audit'),
    auditLines: () => lines().filter(({ msg }) => msg === 'audit'),
  });
}

/** The answer of grpc.health.v1: SERVING, NOT_SERVING, or why there is none. */
export async function healthOf(url: string, service = ''): Promise<string> {
  const { status, body } = await post(`${url}/grpc.health.v1.Health/Check`, JSON.stringify({ service }));
  const answer = JSON.parse(body) as { readonly status?: string };
  return answer.status ?? `HTTP ${status}`;
}

/** Waits until the health of a service is `wanted`; returns how long that took, in milliseconds. */
export async function waitForHealth(url: string, wanted: string, timeoutMs = 60_000): Promise<number> {
  const started = Date.now();
  for (;;) {
    const said = await healthOf(url).catch(String);
    if (said === wanted) return Date.now() - started;
    if (Date.now() - started > timeoutMs) throw new Error(`health is ${said} and not ${wanted}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** A POST of JSON over HTTP/1.1 that accepts any certificate, which `fetch` does not. */
function post(url: string, body: string): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const send = url.startsWith('https:') ? requestHttps : requestHttp;
    const headers = { 'content-type': 'application/json' };
    const options = { method: 'POST', headers, rejectUnauthorized: false, timeout: 15_000 };
    const sent = send(url, options, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (piece: string) => (text += piece));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
      response.on('error', reject);
    });
    sent.on('timeout', () => sent.destroy(new Error('no answer in time')));
    sent.on('error', reject);
    sent.end(body);
  });
}

function parsed(line: string): Record<string, unknown>[] {
  try {
    return [JSON.parse(line) as Record<string, unknown>];
  } catch {
    return [];
  }
}
