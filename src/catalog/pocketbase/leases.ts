import { isBadRequest } from './failures.ts';
import { quote, Refusal, type BatchRequest, type PocketBaseClient } from './client.ts';
import { LEASES } from './own-collections.ts';
import { isTaken, unlessGone } from './refusals.ts';

/** How often to try again if a lease changes meanwhile. */
const ATTEMPTS = 5;

/**
 * Takes or renews a lease; false if another holder has it.
 *
 * A lease is an immutable record. Each change is a batch that deletes the previous record and creates another. If
 * the previous one is gone, the delete and with it the batch fails. The name is unique, so there is only one record
 * at a time.
 */
export async function acquireLease(
  client: PocketBaseClient,
  lease: { readonly name: string; readonly holder: string; readonly expireTime: Date },
  signal: AbortSignal,
): Promise<boolean> {
  const { name, holder, expireTime } = lease;
  const body = { name, holder, expire_time: expireTime.toISOString() };
  // The server's clock decides what has expired.
  const free = `name=${quote(name)}&&(holder=${quote(holder)}||expire_time<=@now)`;
  let failure: Error | undefined;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const [earlier] = await client.list(LEASES, { filter: free, limit: 1 }, signal);
    const create: BatchRequest = { method: 'POST', collection: LEASES, body, onlyId: true };
    try {
      await client.batch(earlier ? [remove(earlier.id), create] : [create], signal);
      return true;
    } catch (error) {
      // A batch that failed as a whole may have been carried out or not: the next look tells.
      if (isBadRequest(error)) {
        failure = error as Error;
        continue;
      }
      if (!(error instanceof Refusal)) throw error;
      const isTakenByOther = isTaken(error, 'name');
      // Without a previous record the name is taken by another holder. Otherwise another process was faster: look
      // again.
      if (isTakenByOther && !earlier) return false;
      const isGone = earlier !== undefined && error.index === 0 && error.status === 404;
      // PocketBase also answers 400 without a field when two batches collide; a hook that refuses does so every
      // time.
      if (!isTakenByOther && !isGone && error.fields.size > 0) throw error;
      failure = isTakenByOther || isGone ? undefined : error;
    }
  }
  if (failure) throw failure;
  return false;
}

/** Releases a lease if the holder still has it. */
export async function releaseLease(
  client: PocketBaseClient,
  name: string,
  holder: string,
  signal: AbortSignal,
): Promise<void> {
  const filter = `name=${quote(name)}&&holder=${quote(holder)}`;
  const [held] = await client.list(LEASES, { filter, limit: 1 }, signal);
  if (held) await unlessGone(client.batch([remove(held.id)], signal));
}

function remove(id: string): BatchRequest {
  return { method: 'DELETE', collection: LEASES, id };
}
