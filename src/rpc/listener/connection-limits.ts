import type net from 'node:net';
import { constants, type ServerHttp2Session } from 'node:http2';

/** Maximum number of open connections; 0 for no limit. */
export interface ConnectionBounds {
  readonly total: number;
  /** Per remote address; an IPv6 /64 network counts as one. */
  readonly perAddress: number;
}

/** Counts open connections, in total and by remote address. */
export class ConnectionCount {
  readonly #bounds: ConnectionBounds;
  readonly #byAddress = new Map<string, number>();
  #total = 0;

  constructor(bounds: ConnectionBounds) {
    this.#bounds = bounds;
  }

  /** Counts a connection until it is closed. Returns false, without counting, if there are too many. */
  admit(socket: net.Socket): boolean {
    const address = networkOf(socket.remoteAddress ?? '');
    const open = this.#byAddress.get(address) ?? 0;
    const { total, perAddress } = this.#bounds;
    if ((total > 0 && this.#total >= total) || (perAddress > 0 && open >= perAddress)) return false;
    this.#total += 1;
    this.#byAddress.set(address, open + 1);
    socket.once('close', () => this.#forget(address));
    return true;
  }

  #forget(address: string): void {
    this.#total -= 1;
    const left = (this.#byAddress.get(address) ?? 1) - 1;
    if (left === 0) this.#byAddress.delete(address);
    else this.#byAddress.set(address, left);
  }
}

/**
 * The address to count by: an IPv4 address, or the first 64 bits of an IPv6 address, because one sender usually has
 * a whole /64 network.
 */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped) return mapped[1]!;
  if (!address.includes(':')) return address;
  const [head = '', tail] = address.split('%', 1)[0]!.split('::');
  const groups = head === '' ? [] : head.split(':');
  const after = tail ? tail.split(':') : [];
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - groups.length - after.length);
  const all = [...groups, ...Array.from({ length: zeros }, () => '0'), ...after];
  return `${all
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::`;
}

/**
 * Maximum number of control frames per second and connection. A client sends at most one PING per round trip to
 * measure the connection: some thousands on loopback. Answering this many takes a few percent of a core.
 */
const FRAMES_PER_SECOND = 10_000;

/** A SETTINGS frame changes the whole connection; clients send only a few. */
const SETTINGS_COST = 100;

/** Ends a connection that floods PING or SETTINGS frames (CVE-2019-9512, CVE-2019-9515). */
export function boundControlFrames(session: ServerHttp2Session): void {
  let windowStart = 0;
  let frames = 0;
  const count = (cost: number) => {
    const now = performance.now();
    if (now - windowStart >= 1000) {
      windowStart = now;
      frames = 0;
    }
    frames += cost;
    if (frames > FRAMES_PER_SECOND && !session.destroyed) {
      session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
    }
  };
  session.on('ping', () => count(1));
  session.on('remoteSettings', () => count(SETTINGS_COST));
}

/**
 * Pings a connection every `intervalMs` milliseconds; ends it if its peer has neither answered nor sent anything else by
 * the next ping. An answer comes after what the network and the buffers of a slow peer already hold. Node.js closes the
 * socket of an ended session only when its last write is over, which a peer that does not read prevents: after one more
 * interval the socket is closed.
 *
 * @param socket - of the session
 */
export function closeIfVanished(
  session: ServerHttp2Session,
  socket: Pick<net.Socket, 'bytesRead' | 'destroy'>,
  intervalMs: number,
): void {
  let answered = true;
  let read = 0;
  let isEnding = false;
  const timer = setInterval(() => {
    if (isEnding) return void socket.destroy();
    isEnding = session.destroyed;
    if (isEnding) return;
    const isSending = socket.bytesRead !== read;
    read = socket.bytesRead;
    if (!answered && !isSending) return session.destroy();
    // An earlier ping that is still on its way serves as well.
    if (!answered) return;
    answered = false;
    session.ping(() => (answered = true));
  }, intervalMs);
  timer.unref();
  session.once('close', () => clearInterval(timer));
}
