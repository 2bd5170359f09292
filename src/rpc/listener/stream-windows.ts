import { constants, type ServerHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';

const MEBIBYTE = 2 ** 20;

/**
 * Maximum number of bytes that all running uploads may send before they are read. While the store is slow they fill
 * memory, because Node.js accepts what a window allows.
 */
const TOTAL_BYTES = 32 * MEBIBYTE;

/**
 * Limits of the window of one stream. Node.js's default of 64 KiB limits an upload to one window per round trip: 1
 * MB/s at 40 ms. 16 MiB allow 160 MB/s.
 */
const MAX_BYTES = 16 * MEBIBYTE;
const MIN_BYTES = MEBIBYTE / 8;

/** Window of a whole connection. Node.js returns it as soon as bytes arrive, so it limits nothing. */
const SESSION_BYTES = 64 * MEBIBYTE;

/**
 * Maximum number of bytes that a connection may send before it acknowledges a smaller window; one that does not
 * acknowledge it could keep the old one. An acknowledgement comes after what the network and the buffers of the peer
 * already hold, which takes a slow peer longer than any fixed time.
 */
const UNACKNOWLEDGED_BYTES = TOTAL_BYTES;

/** How long a connection that has to acknowledge a smaller window may send nothing at all, in milliseconds. */
const SILENT_MS = 20_000;

/** How often that is checked in this time. */
const CHECKS = 20;

/** The window of the streams of a connection. */
interface SessionWindow {
  /** The connection. */
  readonly socket: Pick<Socket, 'bytesRead'>;
  /** The last setting sent, in bytes. */
  told: number;
  /** Whether that was acknowledged. */
  isKnown: boolean;
}

/**
 * Sets the HTTP/2 receive windows: large while few uploads run, so that one uses a long connection fully, and
 * smaller with more uploads, so that all together stay within a limit.
 */
export class StreamWindows {
  readonly #sessions = new Map<ServerHttp2Session, SessionWindow>();
  readonly #silentMs: number;
  #streamBytes = MAX_BYTES;

  /** @param silentMs - see {@link SILENT_MS} */
  constructor(silentMs = SILENT_MS) {
    this.#silentMs = silentMs;
  }

  /** Initial window of connections, in bytes. */
  readonly initialBytes = MAX_BYTES;

  /** Manages a connection until it is closed. */
  add(session: ServerHttp2Session, socket: Pick<Socket, 'bytesRead'>): void {
    this.#sessions.set(session, { socket, told: this.initialBytes, isKnown: true });
    session.once('close', () => this.#sessions.delete(session));
    session.setLocalWindowSize(SESSION_BYTES);
    this.#tell(session);
  }

  /** Divides the bytes among this many uploads; also applies to running streams. */
  divideAmong(uploads: number): void {
    // A power of two, so that changes are rare.
    const shares = 2 ** Math.ceil(Math.log2(Math.max(1, uploads)));
    const streamBytes = Math.min(MAX_BYTES, Math.max(MIN_BYTES, TOTAL_BYTES / shares));
    if (streamBytes === this.#streamBytes) return;
    this.#streamBytes = streamBytes;
    for (const session of this.#sessions.keys()) this.#tell(session);
  }

  /** One at a time: Node.js ends a connection with ten unacknowledged settings. */
  #tell(session: ServerHttp2Session): void {
    const state = this.#sessions.get(session);
    if (state === undefined || !state.isKnown || session.closed || session.destroyed) return;
    if (state.told === this.#streamBytes) return;
    state.told = this.#streamBytes;
    state.isKnown = false;
    const stop = this.#endUnlessAcknowledged(session, state.socket);
    session.settings({ initialWindowSize: state.told }, () => {
      stop();
      state.isKnown = true;
      this.#tell(session);
    });
  }

  /** Ends a connection that sends too much, or nothing, until the returned function is called. */
  #endUnlessAcknowledged(session: ServerHttp2Session, socket: SessionWindow['socket']): () => void {
    const before = socket.bytesRead;
    let read = before;
    let readAt = performance.now();
    const timer = setInterval(() => {
      const now = performance.now();
      const isSilent = socket.bytesRead === read;
      if (!isSilent) [read, readAt] = [socket.bytesRead, now];
      const isIgnored = read - before > UNACKNOWLEDGED_BYTES || now - readAt >= this.#silentMs;
      if (isIgnored && !session.destroyed) session.destroy(undefined, constants.NGHTTP2_SETTINGS_TIMEOUT);
    }, this.#silentMs / CHECKS);
    timer.unref();
    const stop = () => clearInterval(timer);
    session.once('close', stop);
    return stop;
  }
}

/** Counts senders of file bytes (uploads, and parts of direct uploads), which share the HTTP/2 windows. */
export class Senders {
  readonly #onChange: (senders: number) => void;
  #uploads = 0;
  #parts = 0;

  /** @param onChange - called with the number of senders when it changes */
  constructor(onChange: (senders: number) => void) {
    this.#onChange = onChange;
  }

  /** Number of parts being received. */
  get parts(): number {
    return this.#parts;
  }

  /** Sets the number of running uploads. */
  readonly setUploads = (uploads: number): void => {
    this.#uploads = uploads;
    this.#onChange(this.#uploads + this.#parts);
  };

  /** Changes the number of parts being received. */
  readonly addParts = (change: number): void => {
    this.#parts += change;
    this.#onChange(this.#uploads + this.#parts);
  };
}
