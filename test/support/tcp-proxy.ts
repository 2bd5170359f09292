import { once } from 'node:events';
import { createServer, connect, type AddressInfo, type Socket } from 'node:net';

/** A proxy that simulates network failures. */
export interface TcpProxy {
  readonly host: '127.0.0.1';
  readonly port: number;
  /** `host:port` to use instead of the target's. */
  readonly address: string;
  /** Resets all connections and refuses new ones. */
  cut(): Promise<void>;
  /** Passes nothing on in either direction; connections stay open and new ones are accepted. */
  stall(): void;
  /** Delays each chunk by this many milliseconds in each direction. */
  delay(ms: number): void;
  /** Resets all connections, once, when the target has sent this many bytes from now on. */
  cutAfter(bytesFromTarget: number): void;
  /**
   * Resets all connections, once, when this many bytes from now on have been sent to the target; then calls `onCut`
   * before anything else passes.
   */
  cutAfterSent(bytesToTarget: number, onCut?: () => void): void;
  /** Bytes received from clients, including those that a cut kept from the target. */
  readonly bytesFromClients: number;
  /** Passes everything again at once. Cut connections stay closed. */
  restore(): Promise<void>;
  /** Ends the proxy. */
  close(): Promise<void>;
}

/** Starts a proxy on a free loopback port. `target` is `host:port` or a URL with a port. */
export async function startTcpProxy(target: string): Promise<TcpProxy> {
  const { hostname, port: targetPort } = new URL(target.includes('://') ? target : `tcp://${target}`);
  const sockets = new Set<Socket>();
  let delayMs = 0;
  let bytesLeft = Infinity;
  let bytesLeftToTarget = Infinity;
  let onCutOfSent: (() => void) | undefined;
  let bytesFromClients = 0;
  let stalled = false;
  /** Waiting for the end of a stall. */
  let held: (() => void)[] = [];

  function whenFlowing(action: () => void): void {
    if (stalled) held.push(action);
    else action();
  }

  function pass(from: Socket, to: Socket, fromTarget: boolean): void {
    const later = (action: () => void) =>
      whenFlowing(() => {
        // Timers with equal delays fire in order, so chunks keep their order.
        if (delayMs > 0) setTimeout(() => whenFlowing(action), delayMs);
        else action();
      });
    from.on('data', (data) => {
      from.pause();
      if (!fromTarget) bytesFromClients += data.length;
      later(() => {
        if (fromTarget) {
          if (data.length >= bytesLeft) return reset();
          bytesLeft -= data.length;
        } else {
          if (data.length >= bytesLeftToTarget) {
            reset();
            return onCutOfSent?.();
          }
          bytesLeftToTarget -= data.length;
        }
        if (to.destroyed) return;
        if (to.write(data)) from.resume();
        else to.once('drain', () => from.resume());
      });
    });
    from.on('end', () => later(() => to.end()));
    from.on('error', () => to.destroy());
    from.on('close', () => later(() => to.destroy()));
  }

  function reset(): void {
    bytesLeft = Infinity;
    bytesLeftToTarget = Infinity;
    for (const socket of sockets) {
      // A reset while the end of the stream is being sent leaves a handle that keeps Node.js alive.
      if (socket.connecting || socket.writableEnded) socket.destroy();
      else socket.resetAndDestroy();
    }
    sockets.clear();
    held = [];
  }

  const server = createServer({ allowHalfOpen: true }, (inner) => {
    const outer = connect({ host: hostname, port: Number(targetPort), allowHalfOpen: true });
    for (const socket of [inner, outer]) {
      socket.setNoDelay(true);
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    }
    pass(inner, outer, false);
    pass(outer, inner, true);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  const stopListening = async () => {
    if (!server.listening) return;
    const closed = new Promise((resolve) => server.close(resolve));
    reset();
    await closed;
  };

  return {
    host: '127.0.0.1',
    port,
    address: `127.0.0.1:${port}`,
    cut: stopListening,
    stall: () => {
      stalled = true;
    },
    delay: (ms) => {
      delayMs = ms;
    },
    cutAfter: (bytes) => {
      bytesLeft = bytes;
    },
    cutAfterSent: (bytes, onCut) => {
      bytesLeftToTarget = bytes;
      onCutOfSent = onCut;
    },
    get bytesFromClients() {
      return bytesFromClients;
    },
    restore: async () => {
      delayMs = 0;
      bytesLeft = Infinity;
      bytesLeftToTarget = Infinity;
      stalled = false;
      for (const action of held.splice(0)) action();
      if (server.listening) return;
      server.listen(port, '127.0.0.1');
      await once(server, 'listening');
    },
    close: stopListening,
  };
}
