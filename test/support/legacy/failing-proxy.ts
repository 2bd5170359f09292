import { createServer, request as forward, type IncomingHttpHeaders } from 'node:http';
import { buffer } from 'node:stream/consumers';
import type { AddressInfo } from 'node:net';

/** An HTTP proxy before a server that answers some requests by itself. */
export interface FailingProxy {
  readonly url: string;
  /** Status for requests whose method, path and headers fit, 0 to cut the connection; undefined lets a request through. */
  fail: ((method: string, path: string, headers: IncomingHttpHeaders) => number | undefined) | undefined;
  /** Changes the bytes of an answer to GET; undefined leaves them. */
  alter: ((path: string, body: Buffer) => Buffer | undefined) | undefined;
  /** Requests that were let through, as `METHOD path`. */
  readonly passed: string[];
  close(): Promise<void>;
}

/** Starts a proxy before a server; requests keep their Host, so that signatures hold. */
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
