import { createServer, request as forward, type IncomingHttpHeaders } from 'node:http';
import { buffer } from 'node:stream/consumers';
import type { AddressInfo } from 'node:net';

/** An HTTP proxy that answers some requests instead of the server. */
export interface FailingProxy {
  readonly url: string;
  /** Returns the status for a request, 0 to cut the connection, or undefined to pass the request on. */
  fail: ((method: string, path: string, headers: IncomingHttpHeaders) => number | undefined) | undefined;
  /** Replaces the bytes of a response to GET; undefined keeps them. */
  alter: ((path: string, body: Buffer) => Buffer | undefined) | undefined;
  /** Requests that were passed on, as `METHOD path`. */
  readonly passed: string[];
  close(): Promise<void>;
}

/** Starts a proxy for a server. Requests keep their Host header, so that signatures stay valid. */
export async function startFailingProxy(target: string): Promise<FailingProxy> {
  const { hostname, port } = new URL(target);
  const proxy: Pick<FailingProxy, 'fail' | 'alter'> = { fail: undefined, alter: undefined };
  const passed: string[] = [];
  const server = createServer((request, response) => {
    const { method = '', url: path = '', headers } = request;
    const status = proxy.fail?.(method, decodeURIComponent(path), headers);
    if (status === 0) return request.destroy();
    if (status !== undefined) {
      request.resume();
      response.writeHead(status).end();
      return;
    }
    passed.push(`${method} ${path}`);
    const sent = forward({ hostname, port, method, path, headers }, (answer) => {
      const { alter } = proxy;
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      if (method !== 'GET' || alter === undefined) return answer.pipe(response);
      void buffer(answer).then((body) => response.end(alter(decodeURIComponent(path), body) ?? body));
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
