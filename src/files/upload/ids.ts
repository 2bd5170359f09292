import { createHash, randomInt } from 'node:crypto';
import { callerIds, type Caller } from '../../identity/caller.ts';

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789';

/** A new file id: 15 random characters of a-z and 0-9, the form that PocketBase gives its records. */
export function newFileId(): string {
  let id = '';
  for (let i = 0; i < 15; i++) id += ALPHABET[randomInt(ALPHABET.length)];
  return id;
}

/**
 * The key under which the catalog knows an upload again; undefined without a request id. A request id
 * belongs to whoever sent it: the same id from another caller is another upload.
 */
export function requestKey(caller: Caller, requestId: string): string | undefined {
  if (requestId === '') return undefined;
  const { principal, endUser } = callerIds(caller);
  return createHash('sha256')
    .update(JSON.stringify([principal, endUser, requestId]))
    .digest('base64url');
}

/** What the sessions of a caller are counted by. */
export function openerKey(caller: Caller): string {
  const { principal, endUser } = callerIds(caller);
  return createHash('sha256')
    .update(JSON.stringify([principal, endUser]))
    .digest('base64url');
}
