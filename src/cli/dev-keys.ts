import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK } from 'jose';
import { randomUUID } from 'node:crypto';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { makeDir } from '../system/private-files.ts';

const ALGORITHM = 'ES256';

/** A private key with the `kid` and `alg` of its tokens. */
export type DevelopmentKey = JWK & { readonly kid: string; readonly alg: string };

/**
 * The key that signs development tokens. It is created on first use in `PATH.private`, readable only by its owner;
 * `path` has the set of public keys, which the service reads.
 *
 * @throws Error if `path` has another set of keys
 */
export async function developmentKey(path: string): Promise<DevelopmentKey> {
  const privatePath = `${path}.private`;
  makeDir(dirname(path));
  let key = await readKey(privatePath);
  if (key === undefined) {
    if ((await readOrNothing(path)) !== undefined) {
      throw refused(
        path,
        'is there already and was not made by "asset-service dev-token": use another path with --keys',
      );
    }
    const made = await makeKey();
    await writeNew(privatePath, JSON.stringify(made));
    // Another process may have created it first.
    key = (await readKey(privatePath)) ?? made;
  }
  const { kty, crv, x, y, kid, alg } = key;
  const shown = `${JSON.stringify({ keys: [{ kty, crv, x, y, kid, alg, use: 'sig' }] }, null, 2)}\n`;
  const known = await readOrNothing(path);
  if (known !== undefined && known !== shown)
    throw refused(
      path,
      `does not have the public keys of ${privatePath}: remove both, or use another path with --keys`,
    );
  if (known === undefined) await replace(path, shown);
  return key;
}

async function makeKey(): Promise<DevelopmentKey> {
  const { privateKey } = await generateKeyPair(ALGORITHM, { extractable: true });
  const jwk = await exportJWK(privateKey);
  return { ...jwk, kid: `development-${await calculateJwkThumbprint(jwk)}`, alg: ALGORITHM };
}

async function readKey(path: string): Promise<DevelopmentKey | undefined> {
  const text = await readOrNothing(path);
  if (text === undefined) return undefined;
  const key = parsed(text);
  if (typeof key?.kid === 'string' && key.alg === ALGORITHM && typeof key.d === 'string')
    return key as DevelopmentKey;
  throw refused(path, 'has no key of "asset-service dev-token": remove it, or use another path with --keys');
}

function parsed(text: string): JWK | undefined {
  try {
    return JSON.parse(text) as JWK;
  } catch {
    return undefined;
  }
}

async function readOrNothing(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}

/** Creates a file that only its owner can read; keeps an existing one. */
async function writeNew(path: string, content: string): Promise<void> {
  const part = `${path}.${randomUUID()}`;
  await writeFile(part, content, { flag: 'wx', mode: 0o600 });
  try {
    await link(part, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await rm(part, { force: true });
  }
}

async function replace(path: string, content: string): Promise<void> {
  const part = `${path}.${randomUUID()}`;
  await writeFile(part, content, { flag: 'wx' });
  await rename(part, path);
}

function refused(path: string, why: string): Error {
  return Object.assign(new Error(`${path} ${why}`), { code: 'FAILED_PRECONDITION' });
}
