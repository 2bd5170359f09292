import type { Command } from 'commander';
import { isIP } from 'node:net';
import { loadConfig, type Config } from '../config.ts';

/** Adds the command `health`, which is also the health check of the image. */
export function addHealthCommand(root: Command): void {
  root
    .command('health')
    .description('ask whether a service can work, and what it lacks; exit code 0 if it can, 1 if not')
    .option(
      '-u, --url <url>',
      'where the service is (or ASSET_URL); where left out, the one on this machine that is configured by the same settings',
    )
    .action(async ({ url = process.env['ASSET_URL'] }: { url?: string }) => {
      const { checkHealth } = await import('../rpc/health-client.ts');
      const { serving, line } = await checkHealth(url ? { url } : ownService(loadConfig(process.env)));
      process.stdout.write(`${line}\n`);
      if (!serving) process.exitCode = 1;
    });
}

/** Where a service with this configuration answers on this machine. */
function ownService({ settings, tls }: Config): { readonly url: string; readonly anyCertificate: boolean } {
  const { host, port } = settings.ASSET_LISTEN;
  if (port === 0) {
    throw Object.assign(
      new Error('ASSET_LISTEN lets the system choose the port: say where the service is with --url'),
      {
        code: 'INVALID_ARGUMENT',
      },
    );
  }
  // A service that listens on every address answers on the loopback too.
  const local = { '0.0.0.0': '127.0.0.1', '::': '::1' }[host] ?? host;
  const name = isIP(local) === 6 ? `[${local}]` : local;
  // Its certificate names the address that callers use. No secret is sent, and the answer is about this process alone.
  return { url: `${tls ? 'https' : 'http'}://${name}:${port}`, anyCertificate: true };
}
