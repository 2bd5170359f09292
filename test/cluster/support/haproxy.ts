import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect } from 'node:net';
import { once } from 'node:events';
import { serverProgram } from '../../support/install.ts';
import { freePort } from '../../support/ports.ts';
import { makeDir, startServer, type Server } from '../../support/process.ts';

/** A server behind a balancer. */
export interface Behind {
  /** `host:port` that gets the connections. */
  readonly address: string;
  /** Port of its health check, if it is another. */
  readonly checkPort?: number;
}

/** A balancer of TCP connections. */
export type Balancer = Server & {
  /** `host:port` where it listens. */
  readonly address: string;
};

/**
 * Starts an HAProxy that passes connections to those servers whose health check answers 200. It cuts the connections
 * of a server that stops doing so.
 */
export async function startBalancer(servers: readonly Behind[], checkPath: string): Promise<Balancer> {
  const program = await serverProgram('haproxy');
  const dir = await makeDir('haproxy');
  const port = await freePort();
  await writeFile(
    join(dir, 'haproxy.cfg'),
    `global
  maxconn 500
defaults
  mode tcp
  timeout connect 2s
  timeout client 10m
  timeout server 10m
  timeout check 2s
  retries 2
listen servers
  bind 127.0.0.1:${port}
  option httpchk GET ${checkPath}
  http-check expect status 200
  default-server inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
${servers.map(({ address, checkPort }, index) => `  server s${index} ${address} check${checkPort ? ` port ${checkPort}` : ''}`).join('\n')}
`,
  );
  const server = await startServer({
    name: 'HAProxy',
    command: program,
    args: ['-db', '-f', join(dir, 'haproxy.cfg')],
    dir,
    ownsDir: true,
    ready: async () => {
      const socket = connect(port, '127.0.0.1');
      try {
        await once(socket, 'connect');
        return true;
      } finally {
        socket.destroy();
      }
    },
  });
  return Object.assign(server, { address: `127.0.0.1:${port}` });
}
