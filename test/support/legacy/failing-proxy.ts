import { createServer, request as forward, type IncomingHttpHeaders } from 'node:http';
import { buffer } from 'node:stream/consumers';
import type { AddressInfo } from 'node:net';

/** An answer in place of the server's. */
export interface FailingAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** True if the server gets the request nevertheless, and its answer is lost. */
  readonly isLate?: boolean;
}

/** An HTTP proxy that answers some requests instead of the server. */
export interface FailingProxy {
  readonly url: string;
  /** Returns the answer or its status for a request, 0 to cut the connection, or undefined to pass the request on. */
  fail:
    | ((method: string, path: string, headers: IncomingHttpHeaders) => number | FailingAnswer | undefined)
    | undefined;
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
    const failed = proxy.fail?.(method, decodeURIComponent(path), headers);
    if (failed === 0) return request.destroy();
    const instead = typeof failed === 'number' ? { status: failed } : failed;
    const answerInstead = () => response.writeHead(instead!.status, instead!.headers).end(instead!.body);
    if (instead !== undefined && !instead.isLate) {
      request.resume().once('end', answerInstead);
      return;
    }
    passed.push(`${method} ${path}`);
    const sent = forward({ hostname, port, method, path, headers }, (answer) => {
      if (instead !== undefined) {
        answer.resume().once('end', answerInstead);
        return;
      }
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
