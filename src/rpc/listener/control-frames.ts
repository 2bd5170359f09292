import { constants, type ServerHttp2Session } from 'node:http2';

/**
 * Control frames that a connection may send in a second. A client measures its line with a PING a round trip at most, which
 * is some thousands on the loopback; answering that many takes a few percent of a core.
 */
const FRAMES_PER_SECOND = 10_000;

/** A SETTINGS frame changes the whole connection; clients send a handful in its life. */
const SETTINGS_COST = 100;

/** Ends a connection that sends PING or SETTINGS frames in a flood (CVE-2019-9512, CVE-2019-9515). */
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
