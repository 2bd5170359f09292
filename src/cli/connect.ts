import type { WorkerClient } from '@asset-service/worker';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { readFile } from 'node:fs/promises';
import { explain } from './explain.ts';
import { serviceUrl } from './service-url.ts';
import { endProgress, say } from './terminal.ts';
import { tokenFrom } from './token.ts';

/** The flags that say where certificates are. */
export interface TlsFlags {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** The flags of every command that speaks to a service. */
export interface ConnectionFlags extends TlsFlags {
  readonly url?: string;
  readonly transport?: 'grpc' | 'connect' | 'grpc-web';
  readonly token?: string;
  readonly userToken?: string;
  readonly allowTokensOverHttp?: true;
}

/** Certificates in PEM. */
export interface Certificates {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Adds the flags of {@link TlsFlags}. */
export function withTlsOptions(command: Command): Command {
  return command
    .option('--ca <file>', 'PEM file of the authorities to trust, for https')
    .option('--cert <file>', 'PEM file of the certificate to show, for https; needs --key')
    .option('--key <file>', 'PEM file of the private key of --cert');
}

/** Adds the flags of {@link ConnectionFlags}. */
export function withConnectionOptions(command: Command): Command {
  // What the environment gives is no default of an option: the help would show it.
  const connection = command.option(
    '-u, --url <url>',
    'where the service is (or ASSET_URL; else http://127.0.0.1:8080). Without a scheme: http for this machine, https for others',
  );
  return withTlsOptions(connection)
    .addOption(
      new Option('--transport <protocol>', 'grpc is over HTTP/2, the others are over HTTP/1.1')
        .choices(['grpc', 'connect', 'grpc-web'])
        .default('grpc'),
    )
    .option('--token <token>', 'access token to send (or ASSET_TOKEN, or the file ASSET_TOKEN_FILE)')
    .option('--user-token <token>', 'access token of the user to act for (or ASSET_USER_TOKEN)')
    .option(
      '--allow-tokens-over-http',
      'send tokens without TLS to another machine; the network between must protect them',
    );
}

/**
 * Reads the certificates that the flags name.
 *
 * @throws InvalidArgumentError if one cannot be read, or goes without its other half
 */
export async function readCertificates(flags: TlsFlags): Promise<Certificates> {
  if ((flags.cert === undefined) !== (flags.key === undefined)) {
    throw new InvalidArgumentError('--cert and --key go together');
  }
  const read = async (name: keyof TlsFlags) => {
    const path = flags[name];
    if (path === undefined) return {};
    const content = await readFile(path).catch(({ code }: NodeJS.ErrnoException) => {
      throw new InvalidArgumentError(`--${name} ${path}: cannot be read (${code})`);
    });
    return { [name]: content };
  };
  return Object.assign(
    {},
    ...(await Promise.all((['ca', 'cert', 'key'] as const).map(read))),
  ) as Certificates;
}

/**
 * Opens a client, has `work` use it, and closes it. SIGINT, SIGTERM and SIGHUP abort the signal that `work` hands on to its calls, so that nothing half done
 * is left; then the process ends by that signal. A second one ends it at once.
 */
export async function withClient(
  flags: ConnectionFlags,
  work: (client: WorkerClient, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const tls = await readCertificates(flags);
  const baseUrl = serviceUrl(flags.url, Object.keys(tls).length > 0);
  const token = tokenFrom(flags.token);
  const userToken = flags.userToken || process.env['ASSET_USER_TOKEN'];
  const { createWorkerClient } = await import('@asset-service/worker');
  const { assertReachable } = await import('./reach.ts');
  await untilInterrupted(async (signal) => {
    const open = () =>
      createWorkerClient({
        ...{ baseUrl, tls, transport: flags.transport ?? 'grpc' },
        ...(token !== undefined && { token }),
        ...(userToken && { userToken }),
        allowTokensOverHttp: flags.allowTokensOverHttp === true,
        retry: {
          onRetry: (error, delayMs) =>
            say(`${explain(error)}; trying again in ${(delayMs / 1000).toFixed(1)} s`),
        },
      });
    const client = named(open);
    try {
      await assertReachable(baseUrl, tls, signal);
      await work(client, signal);
    } finally {
      endProgress();
      client.close();
    }
  });
}

/** Opens a client, which sends nothing yet; its options are called as those of the command line are. */
function named(open: () => WorkerClient): WorkerClient {
  try {
    return open();
  } catch (error) {
    if (error instanceof Error)
      error.message = error.message.replace('set allowTokensOverHttp', 'give --allow-tokens-over-http');
    throw error;
  }
}

async function untilInterrupted(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const stop = new AbortController();
  let cause: NodeJS.Signals | undefined;
  const interrupt = (name: NodeJS.Signals) => {
    cause = name;
    release();
    stop.abort(new Error(`interrupted by ${name}`));
  };
  const release = () => SIGNALS.forEach((name) => process.off(name, interrupt));
  SIGNALS.forEach((name) => process.on(name, interrupt));
  try {
    await work(stop.signal);
  } catch (error) {
    if (cause === undefined) throw error;
  } finally {
    release();
  }
  // Whoever waits for this process, such as a loop of a shell, is to know how it ended.
  if (cause !== undefined) process.kill(process.pid, cause);
}
