import { AssetClientError, type TokenSource } from '@asset-service/worker';
import { readFile } from 'node:fs/promises';

/**
 * The token to send: from the command line, `ASSET_TOKEN`, or the file that `ASSET_TOKEN_FILE` names. The file is
 * read for each call, because another program may renew the token. Undefined if none is set.
 */
export function tokenFrom(given: string | undefined): TokenSource | undefined {
  const { ASSET_TOKEN: inEnvironment, ASSET_TOKEN_FILE: path } = process.env;
  return given || inEnvironment || (path ? () => tokenIn(path) : undefined);
}

async function tokenIn(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw unusable(path, `cannot be read (${cause.code ?? 'unknown'})`, cause);
  });
  const token = text.trim();
  if (token === '') throw unusable(path, 'is empty');
  return token;
}

function unusable(path: string, why: string, cause?: unknown): AssetClientError {
  const message = `the file ${path} ${why}: write an access token into it, let ASSET_TOKEN_FILE name another, or use --token or ASSET_TOKEN`;
  return new AssetClientError('UNAUTHENTICATED', message, { reason: 'TOKEN_UNAVAILABLE', cause });
}
