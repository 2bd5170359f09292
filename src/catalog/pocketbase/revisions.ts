import { Refusal, type BatchRequest, type PocketBaseClient, type RawRecord } from './client.ts';
import { REVISIONS } from './helpers.ts';

/**
 * Compare-and-set on a record that counts its changes, for a database which has none.
 *
 * While a file stands at count n, from 1 on, there is a record `<file>-<n>` in a collection of our own. The change from n
 * to n+1 is one batch: delete `<file>-<n>`, create `<file>-<n+1>`, change the file. To delete what is gone fails, and
 * the batch with it: of many writers that start from n one gets through, also if the others come much later, since no
 * count ever returns.
 *
 * The first change has nothing to delete. It creates `<file>-0`, which stays as long as the file: to create it
 * twice fails. A record that somebody copied brings a count and no such records with it, and is treated
 * as one that was never changed.
 */
export async function compareAndSet(
  client: PocketBaseClient,
  id: string,
  count: number,
  requests: { readonly change: readonly BatchRequest[]; readonly removesFile: boolean },
  signal: AbortSignal,
): Promise<{ readonly won: true; readonly records: readonly RawRecord[] } | { readonly won: false }> {
  const { change, removesFile } = requests;
  const first = record('POST', id, 0);
  const ends = removesFile ? [record('DELETE', id, 0)] : [record('POST', id, count + 1)];
  const starts = count === 0 ? [first] : [record('DELETE', id, count), first];
  for (const start of starts) {
    try {
      const records = await client.batch([start, ...ends, ...change], signal);
      return { won: true, records: records.slice(1 + ends.length) };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.index > ends.length) {
        throw new Refusal(error.index - ends.length - 1, error.status, error.fields, error);
      }
    }
  }
  return { won: false };
}

function record(method: 'POST' | 'DELETE', fileId: string, count: number): BatchRequest {
  const id = `${fileId}-${count}`;
  return method === 'POST'
    ? { method, collection: REVISIONS, body: { id } }
    : { method, collection: REVISIONS, id };
}
