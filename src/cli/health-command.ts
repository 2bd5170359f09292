import type { Command } from 'commander';
import { isIP } from 'node:net';
import { loadConfig, type Config } from '../config/config.ts';
import { readCertificates, type TlsFlags, withTlsOptions } from './connect.ts';
import { serviceUrl } from './service-url.ts';
import { print } from './terminal.ts';

/** Adds the command `health`; the health check of the image uses it. */
export function addHealthCommand(root: Command): void {
  const command = root
    .command('health')
    .description(
      'print whether a service is SERVING, or what is missing; exit code 0 if SERVING, otherwise 1',
    )
    .option(
      '-u, --url <url>',
      'address of the service (or ASSET_URL); default: the service on this machine with the same settings',
    );
  withTlsOptions(command).action(async (flags: TlsFlags & { readonly url?: string }) => {
    const { checkHealth } = await import('../rpc/health-client.ts');
    const tls = await readCertificates(flags);
    const isNamed = Boolean(flags.url || process.env['ASSET_URL']);
    const target = isNamed
      ? { url: serviceUrl(flags.url, Object.keys(tls).length > 0), tls }
      : { ...ownService(loadConfig(process.env)), tls };
    const { serving, line } = await checkHealth(target).catch(async (error: unknown) => {
      // Explains a missing answer like the other commands.
      throw (await import('@asset-service/worker')).toClientError(error);
    });
    await print(line);
    if (!serving) process.exitCode = 1;
  });
}

/** Address of a service with this configuration on this machine. */
function ownService({ settings, tls }: Config): { readonly url: string; readonly anyCertificate: boolean } {
  const { host, port } = settings.ASSET_LISTEN;
  if (port === 0) {
    throw Object.assign(
      new Error('ASSET_LISTEN lets the system choose the port: set the address of the service with --url'),
      {
        code: 'INVALID_ARGUMENT',
      },
    );
  }
  // A service that listens on all addresses answers on loopback too.
  const local = { '0.0.0.0': '127.0.0.1', '::': '::1' }[host] ?? host;
  const name = isIP(local) === 6 ? `[${local}]` : local;
  // Its certificate names the address that callers use. No secret is sent, and the answer is only about this
  // process.
  return { url: `${tls ? 'https' : 'http'}://${name}:${port}`, anyCertificate: true };
}
