import type { IncomingMessage } from 'node:http';
import { constants, type ServerHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';

/** How long a connection serves new calls. */
export interface ConnectionAge {
  /** Milliseconds, with a random tenth more or less, so that connections of one moment do not end together; 0 for no limit. */
  readonly maxMs: number;
  /** Milliseconds that the calls of an old connection then get to finish; 0 for no limit. */
  readonly graceMs: number;
}

/** Largest stream id: a GOAWAY with it announces the end, and calls that are on their way are still served. */
const ANY_STREAM = 2 ** 31 - 1;

/** How long a peer may take to acknowledge that it was told, in milliseconds. */
const NOTICE_MS = 1_000;

/** Share of the age by which it is longer or shorter. */
const JITTER = 0.1;

/**
 * Ends connections without failing calls: because they are old, or because the process stops. Over HTTP/2 a peer gets
 * GOAWAY and opens another connection, while the calls of this one finish. Over HTTP/1.1 the next response is the last
 * one of its connection.
 */
export class ConnectionLifetimes {
  readonly #age: ConnectionAge;
  readonly #sessions = new Set<ServerHttp2Session>();
  /** When HTTP/1.1 connections are old, by `performance.now()`. */
  readonly #oldFrom = new WeakMap<Socket, number>();
  #isDraining = false;
  #isStopping = false;

  constructor(age: ConnectionAge = { maxMs: 0, graceMs: 0 }) {
    this.#age = age;
  }

  /** Open HTTP/2 connections. */
  get sessions(): Iterable<ServerHttp2Session> {
    return this.#sessions;
  }

  /** Manages an HTTP/2 connection until it is closed. */
  add(session: ServerHttp2Session): void {
    this.#sessions.add(session);
    session.once('close', () => this.#sessions.delete(session));
    // It was accepted just before the port was closed.
    if (this.#isStopping) return void retire(session);
    const ageMs = this.#pickAge();
    if (ageMs === Infinity) return;
    const endAfter = (ms: number, end: () => void) => {
      const timer = setTimeout(end, ms).unref();
      session.once('close', () => clearTimeout(timer));
    };
    endAfter(ageMs, () => void retire(session));
    if (this.#age.graceMs > 0) endAfter(ageMs + this.#age.graceMs, () => session.destroy());
  }

  /** Whether the response to this HTTP/1.1 request is the last one of its connection. Knows connections by their first request. */
  isLast({ socket }: Pick<IncomingMessage, 'socket'>): boolean {
    if (this.#isDraining) return true;
    let oldFrom = this.#oldFrom.get(socket);
    if (oldFrom === undefined) {
      const ageMs = this.#pickAge();
      oldFrom = performance.now() + ageMs;
      this.#oldFrom.set(socket, oldFrom);
      if (ageMs !== Infinity && this.#age.graceMs > 0) {
        const timer = setTimeout(() => socket.destroy(), ageMs + this.#age.graceMs).unref();
        socket.once('close', () => clearTimeout(timer));
      }
    }
    return performance.now() >= oldFrom;
  }

  /** Makes every HTTP/1.1 response the last one of its connection from now on. */
  drain(): void {
    this.#isDraining = true;
  }

  /** Announces to the peers of all HTTP/2 connections that these end. Resolves when they know, or after a second. */
  async stop(): Promise<void> {
    this.drain();
    this.#isStopping = true;
    await Promise.all([...this.#sessions].map(retire));
  }

  #pickAge(): number {
    const { maxMs } = this.#age;
    return maxMs > 0 ? maxMs * (1 - JITTER + 2 * JITTER * Math.random()) : Infinity;
  }
}

/**
 * Ends an HTTP/2 connection as RFC 9113, section 6.8, advises: announces it, and refuses new calls only when the peer has
 * seen the announcement. One GOAWAY alone would refuse the calls that cross it. Resolves when new calls are refused.
 */
function retire(session: ServerHttp2Session): Promise<void> {
  return new Promise((resolve) => {
    const finish = () => {
      clearTimeout(timer);
      if (!session.closed && !session.destroyed) session.close();
      resolve();
    };
    const timer = setTimeout(finish, NOTICE_MS);
    if (session.closed || session.destroyed) return finish();
    session.once('close', finish);
    session.goaway(constants.NGHTTP2_NO_ERROR, ANY_STREAM);
    // Its answer comes behind everything that the peer sent before it knew.
    session.ping(finish);
  });
}
