import { constants, type ServerHttp2Session } from 'node:http2';

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

/** Pings a connection every `intervalMs` milliseconds; ends it if its peer has not answered by the next ping. */
export function closeIfVanished(session: ServerHttp2Session, intervalMs: number): void {
  let answered = true;
  const timer = setInterval(() => {
    if (!answered) return session.destroy();
    answered = false;
    session.ping(() => (answered = true));
  }, intervalMs);
  timer.unref();
  session.once('close', () => clearInterval(timer));
}
