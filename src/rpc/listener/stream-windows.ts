import { constants, type ServerHttp2Session } from 'node:http2';

const MEBIBYTE = 2 ** 20;

/**
 * Bytes that all running uploads together may send ahead of being read. While the store is slow they pile up in
 * memory, since Node takes in whatever a window allows.
 */
const TOTAL_BYTES = 32 * MEBIBYTE;

/**
 * Bounds of the window of one stream. Node's default of 64 KiB holds an upload to one window a round trip:
 * 1 MB/s at 40 ms. 16 MiB are enough for 160 MB/s there.
 */
const MAX_BYTES = 16 * MEBIBYTE;
const MIN_BYTES = MEBIBYTE / 8;

/** Window of a whole connection. Node gives it back as soon as bytes come in, so it bounds nothing. */
const SESSION_BYTES = 64 * MEBIBYTE;

/** Time in which a connection has to say that it knows a smaller window; one that does not could keep the old one. */
const ACK_MS = 10_000;

/**
 * Sizes the HTTP/2 receive windows: wide while few uploads run, so that one fills a long line, and
 * narrower the more there are, so that together they stay within a bound.
 */
export class StreamWindows {
  /** What each connection was told last, and whether it has said that it knows. */
  readonly #sessions = new Map<ServerHttp2Session, { told: number; isKnown: boolean }>();
  #streamBytes = MAX_BYTES;

  /** The window that connections begin with, in bytes. */
  readonly initialBytes = MAX_BYTES;

  /** Looks after a connection until it is closed. */
  add(session: ServerHttp2Session): void {
    this.#sessions.set(session, { told: this.initialBytes, isKnown: true });
    session.once('close', () => this.#sessions.delete(session));
    session.setLocalWindowSize(SESSION_BYTES);
    this.#tell(session);
  }

  /** Divides the bytes among so many uploads. Streams that run get their share as well. */
  divideAmong(uploads: number): void {
    // A power of two, so that a change is announced seldom.
    const shares = 2 ** Math.ceil(Math.log2(Math.max(1, uploads)));
    const streamBytes = Math.min(MAX_BYTES, Math.max(MIN_BYTES, TOTAL_BYTES / shares));
    if (streamBytes === this.#streamBytes) return;
    this.#streamBytes = streamBytes;
    for (const session of this.#sessions.keys()) this.#tell(session);
  }

  /** One message at a time: Node ends a connection that leaves ten unanswered. */
  #tell(session: ServerHttp2Session): void {
    const state = this.#sessions.get(session);
    if (state === undefined || !state.isKnown || session.closed || session.destroyed) return;
    if (state.told === this.#streamBytes) return;
    state.told = this.#streamBytes;
    state.isKnown = false;
    const timer = setTimeout(() => {
      if (!session.destroyed) session.destroy(undefined, constants.NGHTTP2_SETTINGS_TIMEOUT);
    }, ACK_MS);
    timer.unref();
    session.settings({ initialWindowSize: state.told }, () => {
      clearTimeout(timer);
      state.isKnown = true;
      this.#tell(session);
    });
  }
}
