import { quote, Refusal, type BatchRequest, type PocketBaseClient } from './client.ts';
import { LEASES } from './helpers.ts';
import { isTaken, unlessGone } from './refusals.ts';

/** How often to look again at a lease that changes each time one takes it. */
const ATTEMPTS = 5;

/**
 * Takes or prolongs a lease; false if another holder has it.
 *
 * A lease is a record that never changes. Each change is a batch that deletes the record it starts from, which fails, and the
 * batch with it, once that is gone, and that creates another. The name is unique, so there is one at a time.
 */
export async function acquireLease(
  client: PocketBaseClient,
  lease: { readonly name: string; readonly holder: string; readonly expireTime: Date },
  signal: AbortSignal,
): Promise<boolean> {
  const { name, holder, expireTime } = lease;
  const body = { name, holder, expire_time: expireTime.toISOString() };
  // The server's clock tells what has expired.
  const free = `name=${quote(name)}&&(holder=${quote(holder)}||expire_time<=@now)`;
  let refusal: Refusal | undefined;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const [earlier] = await client.list(LEASES, { filter: free, limit: 1 }, signal);
    const create: BatchRequest = { method: 'POST', collection: LEASES, body, onlyId: true };
    try {
      await client.batch(earlier ? [remove(earlier.id), create] : [create], signal);
      return true;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const isTakenByOther = isTaken(error, 'name');
      // With nothing to start from the name is taken by another holder. Else somebody was faster: look who.
      if (isTakenByOther && !earlier) return false;
      const isGone = earlier !== undefined && error.index === 0 && error.status === 404;
      // PocketBase also says 400 without a field where two batches met; a hook that refuses does so every time.
      if (!isTakenByOther && !isGone && error.fields.size > 0) throw error;
      refusal = isTakenByOther || isGone ? undefined : error;
    }
  }
  if (refusal) throw refusal;
  return false;
}

/** Gives a lease up if the holder still has it. */
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
