import type { AssetClientError, TokenSource, WorkerClient } from '@asset-service/worker';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { readFile } from 'node:fs/promises';
import { explain } from './explain.ts';
import { serviceUrl } from './service-url.ts';
import { endProgress, say } from './terminal.ts';

/** Flags for certificates. */
export interface TlsFlags {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** Flags of every command that calls a service. */
export interface ConnectionFlags extends TlsFlags {
  readonly url?: string;
  readonly transport?: 'grpc' | 'connect' | 'grpc-web';
  readonly token?: string;
  readonly userToken?: string;
  readonly allowTokensOverHttp?: true;
}

/** Certificates in PEM. */
interface Certificates {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Adds the flags of {@link TlsFlags}. */
export function withTlsOptions(command: Command): Command {
  return command
    .option('--ca <file>', 'PEM file of trusted authorities, for https')
    .option('--cert <file>', 'PEM file of the client certificate, for https; needs --key')
    .option('--key <file>', 'PEM file of the private key of --cert');
}

/** Adds the flags of {@link ConnectionFlags}. */
export function withConnectionOptions(command: Command): Command {
  // Not a default of the option, because the help would show the environment's value.
  const connection = command.option(
    '-u, --url <url>',
    'address of the service (or ASSET_URL; default http://127.0.0.1:8080). Without a scheme: http for this machine, https for others',
  );
  return withTlsOptions(connection)
    .addOption(
      new Option('--transport <protocol>', 'grpc uses HTTP/2, the others HTTP/1.1')
        .choices(['grpc', 'connect', 'grpc-web'])
        .default('grpc'),
    )
    .option('--token <token>', 'access token to send (or ASSET_TOKEN, or the file ASSET_TOKEN_FILE)')
    .option('--user-token <token>', 'access token of the end user to act for (or ASSET_USER_TOKEN)')
    .option(
      '--allow-tokens-over-http',
      'permit tokens without TLS to another machine, over a network that is otherwise protected',
    );
}

/**
 * Reads the certificates that the flags name.
 *
 * @throws InvalidArgumentError if one cannot be read, or --cert and --key are not given together
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
 * Opens a client, lets `work` use it, and closes it. SIGINT, SIGTERM and SIGHUP abort the signal that `work` passes
 * to its calls, so that nothing unfinished stays; then the process ends by that signal. A second signal ends it at
 * once.
 */
export async function withClient(
  flags: ConnectionFlags,
  work: (client: WorkerClient, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const tls = await readCertificates(flags);
  const baseUrl = serviceUrl(flags.url, Object.keys(tls).length > 0);
  const token = tokenFrom(flags.token);
  const userToken = flags.userToken || process.env['ASSET_USER_TOKEN'];
  const { transport = 'grpc' } = flags;
  const { createWorkerClient } = await import('@asset-service/worker');
  const { assertReachable } = await import('./reach.ts');
  await untilInterrupted(async (signal) => {
    const open = () =>
      createWorkerClient({
        ...{ baseUrl, tls, transport },
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
      await assertReachable(baseUrl, { tls, signal, isHttp2: transport === 'grpc' });
      await work(client, signal);
    } finally {
      endProgress();
      client.close();
    }
  });
}

/** Creates a client, which does not connect yet. Errors name options as on the command line. */
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
  // The parent process, such as a shell loop, must see which signal ended this one.
  if (cause !== undefined) process.kill(process.pid, cause);
}

/**
 * The token to send: from the command line, `ASSET_TOKEN`, or the file that `ASSET_TOKEN_FILE` names. The file is
 * read for each call, because another program may renew the token. Undefined if none is set.
 */
function tokenFrom(given: string | undefined): TokenSource | undefined {
  const { ASSET_TOKEN: inEnvironment, ASSET_TOKEN_FILE: path } = process.env;
  return given || inEnvironment || (path ? () => tokenIn(path) : undefined);
}

async function tokenIn(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch(async (cause: NodeJS.ErrnoException) => {
    throw await unusable(path, `cannot be read (${cause.code ?? 'unknown'})`, cause);
  });
  const token = text.trim();
  if (token === '') throw await unusable(path, 'is empty');
  return token;
}

async function unusable(path: string, why: string, cause?: unknown): Promise<AssetClientError> {
  const { AssetClientError } = await import('@asset-service/worker');
  const message = `the file ${path} ${why}: write an access token into it, let ASSET_TOKEN_FILE name another, or use --token or ASSET_TOKEN`;
  return new AssetClientError('UNAUTHENTICATED', message, { reason: 'TOKEN_UNAVAILABLE', cause });
}
