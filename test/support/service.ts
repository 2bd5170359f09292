import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { join } from 'node:path';
import { FLAGS, ROOT } from './install.ts';
import { freePort } from './ports.ts';
import { makeDir, startServer, type Server } from './process.ts';

/** The service as a process of its own, as operators run it. */
export type Service = Server & {
  /** Where it answers, such as `http://127.0.0.1:40001`; the same in every life. */
  readonly url: string;
  readonly port: number;
  /** Sends it a signal and waits for nothing. */
  signal(signal: NodeJS.Signals): void;
  /** Stops it in good order and starts it again. */
  restart(): Promise<void>;
  /** The lines of its log that are JSON, parsed; of all its lives. Those of the audit log are left out. */
  logLines(): Record<string, unknown>[];
  /** The lines of the audit log on its standard output. */
  auditLines(): Record<string, unknown>[];
};

/** How {@link startService} starts one. */
export interface ServiceOptions {
  /** What it waits for: SERVING by default, or any answer, for a service whose dependencies are down. */
  readonly until?: 'serving' | 'answering';
  /** Port of the loopback; a free one where left out. */
  readonly port?: number;
  /** True for the program in dist, which the image runs; it has to be built. The sources where left out. */
  readonly built?: boolean;
}

/**
 * Starts `asset-service serve` with these settings, on embedded defaults where they say nothing, and waits
 * until its health is SERVING. A second one with the same settings is a replica. About two seconds.
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
    args: [...FLAGS, options.built ? join(ROOT, 'dist', 'main.js') : join(ROOT, 'src', 'main.ts'), 'serve'],
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

/** What grpc.health.v1 says of a service: SERVING, NOT_SERVING, or why it says nothing. */
export async function healthOf(url: string, service = ''): Promise<string> {
  const { status, body } = await post(`${url}/grpc.health.v1.Health/Check`, JSON.stringify({ service }));
  const answer = JSON.parse(body) as { readonly status?: string };
  return answer.status ?? `HTTP ${status}`;
}

/** Waits until the health of a service is `wanted` and returns how long that took, in milliseconds. */
export async function waitForHealth(url: string, wanted: string, timeoutMs = 30_000): Promise<number> {
  const started = Date.now();
  for (;;) {
    const said = await healthOf(url).catch(String);
    if (said === wanted) return Date.now() - started;
    if (Date.now() - started > timeoutMs) throw new Error(`health is ${said} and not ${wanted}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** A POST of JSON over HTTP/1.1, with any certificate. `fetch` would insist on one that it knows. */
function post(url: string, body: string): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const send = url.startsWith('https:') ? requestHttps : requestHttp;
    const headers = { 'content-type': 'application/json' };
    const options = { method: 'POST', headers, rejectUnauthorized: false, timeout: 5_000 };
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
