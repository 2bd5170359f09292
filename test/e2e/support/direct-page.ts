import { AssetClientError, createBffClient, directUploadHandler } from '@asset-service/bff';
import { build, type Plugin } from 'esbuild';
import { readFile } from 'node:fs/promises';
import { createServer, request as requestHttp, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { ROOT } from '../../support/install.ts';

/** A product's page with `@asset-service/browser`, its BFF, and a proxy to the service for pages that hold a user's token. */
export interface DirectPage {
  readonly url: string;
  close(): Promise<void>;
}

/** What the page offers to the test, as `window.product`. */
const SCRIPT = `
import { uploadFile, UploadError } from '@asset-service/browser';
import { createConnectTransport } from '@connectrpc/connect-web';
import { send } from 'docs/browser.md';
const throughBff = createConnectTransport({ baseUrl: '/bff' });
const withToken = (token) => createConnectTransport({
  baseUrl: '/service',
  interceptors: [(next) => (request) => { request.header.set('authorization', 'Bearer ' + token); return next(request); }],
});
const wrongHash = () => new Worker(URL.createObjectURL(new Blob(
  ["onmessage = () => postMessage({ sha256: 'ab'.repeat(32) })"], { type: 'text/javascript' })));
let stop;
window.product = {
  progress: [],
  shown: [],
  async documented() {
    stop = new AbortController();
    this.shown = [];
    await send(document.querySelector('input').files[0], stop.signal, (text) => this.shown.push(text));
    return this.shown;
  },
  abort: () => stop.abort(new Error('the user pressed cancel')),
  async upload({ token, wrong, ...options } = {}) {
    stop = new AbortController();
    this.progress = [];
    const file = document.querySelector('input').files[0];
    try {
      const record = await uploadFile(token ? withToken(token) : throughBff, file, {
        ...options, ...(wrong && { worker: wrongHash }), signal: stop.signal,
        onProgress: ({ sentBytes }) => this.progress.push(sentBytes),
      });
      return { id: record.id, name: record.name, owner: record.owner, usage: record.usage };
    } catch (error) {
      if (!(error instanceof UploadError)) throw error;
      return { code: error.code, reason: error.reason, metadata: error.metadata, message: error.message };
    }
  },
};
`;

/** Resolves `docs/browser.md` to the code that it shows. */
function documented(): Plugin {
  return {
    name: 'documented',
    setup(bundle) {
      bundle.onResolve({ filter: /^docs\/browser\.md$/ }, ({ path }) => ({ path, namespace: 'documented' }));
      bundle.onLoad({ filter: /.*/, namespace: 'documented' }, async ({ path }) => {
        const [, contents] = /```ts\n(.*?)```/s.exec(await readFile(join(ROOT, path), 'utf8'))!;
        return { contents: contents!, loader: 'ts', resolveDir: ROOT };
      });
    },
  };
}

/** Starts one. The signed-in user comes in the cookies `user` and `token`. */
export async function startDirectPage(serviceUrl: string, serviceToken: string): Promise<DirectPage> {
  const { outputFiles } = await build({
    stdin: { contents: SCRIPT, resolveDir: ROOT },
    ...{ bundle: true, format: 'esm', write: false, logLevel: 'silent' },
    plugins: [documented()],
  });
  const assets = createBffClient({ baseUrl: serviceUrl, token: serviceToken });
  const direct = directUploadHandler({
    path: '/bff',
    caller(request) {
      const { user, token } = cookiesOf(request.headers.cookie);
      if (!user || !token) throw new AssetClientError('UNAUTHENTICATED', 'sign in first');
      return { client: assets.forUser(token), userId: user };
    },
    describe: ({ name, contentType, usage }, request) => ({
      ...{ name, contentType, usage },
      owner: cookiesOf(request.headers.cookie)['user'],
    }),
  });
  const content: Record<string, readonly [type: string, body: () => Promise<Uint8Array | string>]> = {
    '/': [
      'text/html',
      async () => '<!doctype html><input type="file"><script type="module" src="/page.js"></script>',
    ],
    '/page.js': ['text/javascript', async () => outputFiles[0]!.contents],
    '/hash-worker.js': ['text/javascript', () => readFile(join(ROOT, 'clients/browser/dist/hash-worker.js'))],
  };
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://page').pathname;
    if (path.startsWith('/bff/')) return direct(request, response);
    if (path.startsWith('/service/')) return forward(request, response, serviceUrl);
    const found = content[path];
    if (!found) return void response.writeHead(404).end();
    void found[1]().then((body) => response.writeHead(200, { 'content-type': found[0] }).end(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async close() {
      assets.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function cookiesOf(header = ''): Partial<Record<string, string>> {
  return Object.fromEntries(header.split('; ').map((pair) => pair.split('=') as [string, string]));
}

/** Passes a request on to the service, as a load balancer does. */
function forward(request: IncomingMessage, response: ServerResponse, serviceUrl: string): void {
  const { method, headers, url } = request;
  const target = new URL(url!.slice('/service'.length), serviceUrl);
  const onward = requestHttp(target, { method, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
  onward.on('error', () => response.destroy());
  request.pipe(onward);
}
