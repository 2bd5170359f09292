import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';

/**
 * Ports that no system hands out by itself: below those from which outgoing connections and `listen(0)` are served, one of
 * which could take a port between the moment it was found free and the start of the server that it is for.
 */
const [FIRST, LAST] = [10_000, 32_000];

/** Returns `count` different TCP ports of the loopback that nobody listens on. */
export async function freePorts(count: number): Promise<number[]> {
  const held = new Map<number, Server>();
  while (held.size < count) {
    const port = randomInt(FIRST, LAST);
    const server = held.has(port) ? undefined : await listen(port);
    // All are held until the last is found, so that no port is returned twice.
    if (server) held.set(port, server);
  }
  await Promise.all([...held.values()].map((server) => new Promise((resolve) => server.close(resolve))));
  return [...held.keys()];
}

/** Returns one free TCP port of the loopback. */
export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  return port!;
}

/** Listens on a port of the loopback; undefined where that is taken. */
async function listen(port: number): Promise<Server | undefined> {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
    return server;
  } catch (error) {
    if (['EADDRINUSE', 'EACCES'].includes(String((error as NodeJS.ErrnoException).code))) return undefined;
    throw error;
  }
}
