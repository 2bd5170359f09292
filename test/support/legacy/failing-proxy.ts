import { createServer, request as forward } from 'node:http';
import type { AddressInfo } from 'node:net';

/** An HTTP proxy before a server that answers some requests by itself. */
export interface FailingProxy {
  readonly url: string;
  /** Status for requests whose method and path fit; undefined lets a request through. */
  fail: ((method: string, path: string) => number | undefined) | undefined;
  /** Requests that were let through, as `METHOD path`. */
  readonly passed: string[];
  close(): Promise<void>;
}

/** Starts a proxy before a server; requests keep their Host, so that signatures hold. */
export async function startFailingProxy(target: string): Promise<FailingProxy> {
  const { hostname, port } = new URL(target);
  const proxy: { fail: FailingProxy['fail'] } = { fail: undefined };
  const passed: string[] = [];
  const server = createServer((request, response) => {
    const { method = '', url: path = '', headers } = request;
    const status = proxy.fail?.(method, decodeURIComponent(path));
    if (status !== undefined) {
      request.resume();
      response.writeHead(status).end();
      return;
    }
    passed.push(`${method} ${path}`);
    const sent = forward({ hostname, port, method, path, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    sent.on('error', () => response.destroy());
    request.pipe(sent);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return Object.assign(proxy, {
    ...{ url, passed },
    close: () =>
      new Promise<void>((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  });
}
