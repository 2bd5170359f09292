import { spawnSync } from 'node:child_process';
import { Toxiproxy } from 'toxiproxy-node-client';
import { isInstalled, serverProgram } from './install.ts';
import { freePort } from './ports.ts';
import { makeDir, startServer, type Server } from './process.ts';

/** A Toxiproxy, which simulates network failures. */
export type ToxiproxyServer = Server & { readonly client: Toxiproxy };

/** True if a Toxiproxy is available: set, installed, or buildable with Go. */
export function hasToxiproxy(): boolean {
  return isInstalled('toxiproxy') || spawnSync('go', ['version']).status === 0;
}

/** Starts a Toxiproxy without proxies. */
export async function startToxiproxy(): Promise<ToxiproxyServer> {
  const program = await serverProgram('toxiproxy');
  const dir = await makeDir('toxiproxy');
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const server = await startServer({
    name: 'Toxiproxy',
    command: program,
    args: ['-host', '127.0.0.1', '-port', String(port)],
    dir,
    ownsDir: true,
    ready: async () => (await fetch(`${url}/version`)).ok,
  });
  return Object.assign(server, { client: new Toxiproxy(url) });
}
