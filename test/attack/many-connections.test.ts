import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { Authority } from '../support/certificates.ts';
import { eventually } from '../support/eventually.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';
import { until, whileOthersWork } from './support/others.ts';
import { openSockets } from './support/raw-sockets.ts';

describe('many connections', () => {
  it('from one address are bounded, and those in use go on', async () => {
    const service = await startService({ ASSET_LIMIT_CONNECTIONS_PER_ADDRESS: '20' });
    try {
      await whileOthersWork(service, async () => {
        const sockets = openSockets(service.port, 60, '');
        await until(
          () => sockets.filter((socket) => socket.closed).length >= 41,
          'the service closes what is too many',
        );
        expect(sockets.filter((socket) => !socket.closed).length).toBeGreaterThan(0);
        for (const socket of sockets) socket.destroy();
        await until(() => sockets.every((socket) => socket.closed), 'the sockets close');
      });
    } finally {
      await service.dispose();
    }
  });
});

describe('many connections over TLS', () => {
  const PER_ADDRESS = 10;
  /** Loopback addresses of the attacker and of others. */
  const [ATTACKER, OTHER] = ['127.0.0.2', '127.0.0.1'];
  /** The first bytes of an incomplete ClientHello. */
  const HALF_HELLO = Buffer.from('160301020001000001fc0303', 'hex');

  let dir: string;
  let service: Service;

  beforeAll(async () => {
    dir = await makeDir('attack-tls');
    const authority = await Authority.create(dir, 'authority');
    const { certPath, keyPath } = await authority.issue('server');
    service = await startService({
      // Long enough to check waiting connections on a slow machine.
      ASSET_LIMIT_BODY_TIME: '15',
      ASSET_TLS_CERT: certPath,
      ASSET_TLS_KEY: keyPath,
      ASSET_LIMIT_CONNECTIONS: String(2 * PER_ADDRESS),
      ASSET_LIMIT_CONNECTIONS_PER_ADDRESS: String(PER_ADDRESS),
    });
  });

  afterAll(async () => {
    await service?.dispose();
    await removeDir(dir);
  });

  /** Opens `count` connections from an address that send these bytes only. */
  function open(localAddress: string, count: number, start?: Buffer): Socket[] {
    return Array.from({ length: count }, () => {
      const socket = connect({ host: '127.0.0.1', port: service.port, localAddress });
      socket.on('error', () => undefined);
      socket.resume();
      if (start) socket.write(start);
      return socket;
    });
  }

  /** True if a caller from an address can reach the service. */
  function getsIn(localAddress: string): Promise<boolean> {
    return new Promise((resolve) => {
      const options = { host: '127.0.0.1', port: service.port, localAddress, rejectUnauthorized: false };
      const socket = connectTls(options, () => {
        resolve(true);
        socket.destroy();
      });
      socket.on('error', () => resolve(false));
      socket.on('close', () => resolve(false));
    });
  }

  const allClosed = (sockets: readonly Socket[]) => sockets.every((socket) => socket.closed);

  it('that never end a handshake are bounded before it, keep nobody else out, and are closed', async () => {
    const half = (5 * PER_ADDRESS) / 2;
    const sockets = [...open(ATTACKER, half), ...open(ATTACKER, half, HALF_HELLO)];
    try {
      await until(
        () => sockets.filter((socket) => socket.closed).length >= 4 * PER_ADDRESS,
        'the service closes what is too many',
      );
      // The others still wait for their handshake, and count.
      expect(await getsIn(ATTACKER)).toBe(false);
      expect(await getsIn(OTHER)).toBe(true);
      await until(() => allClosed(sockets), 'the service closes what makes no handshake', 60_000);
      await eventually(async () => (await getsIn(ATTACKER)) || fail('the places are taken'));
    } finally {
      for (const socket of sockets) socket.destroy();
    }
  });

  it('give their places back however they end', async () => {
    for (const start of [undefined, HALF_HELLO, Buffer.from('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n')]) {
      for (let round = 0; round < 3; round++) {
        const sockets = open(ATTACKER, PER_ADDRESS, start);
        await until(() => sockets.every(({ connecting }) => !connecting), 'the connections are made');
        for (const socket of sockets) socket.resetAndDestroy();
        await until(() => allClosed(sockets), 'the sockets close');
      }
    }
    for (let calls = 0; calls < 3 * PER_ADDRESS; calls++) {
      await eventually(async () => (await getsIn(ATTACKER)) || fail('the places are taken'));
    }
  });
});

function fail(why: string): never {
  throw new Error(why);
}
