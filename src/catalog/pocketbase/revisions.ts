import { Refusal, type BatchRequest, type PocketBaseClient, type RawRecord } from './client.ts';
import { emptied } from './change-entries.ts';
import { leftOut } from './failures.ts';
import { REVISIONS } from './own-collections.ts';
import { isTaken } from './refusals.ts';

/**
 * Compare-and-set on a record with a change count, for a database without it.
 *
 * While a file is at count n (from 1), there is a record `<file>-<n>` in a separate collection. The change from n
 * to n+1 is one batch: delete `<file>-<n>`, create `<file>-<n+1>`, change the file. Deleting a missing record fails
 * the batch: of several writers that start from n one succeeds, also if the others come much later, because counts
 * never repeat.
 *
 * The first change has nothing to delete. It creates `<file>-0`, which stays as long as the file: creating it twice
 * fails. A copied record has a count but no such records, and is treated as never changed.
 *
 * The batch also adds `log`, the request for the change log.
 *
 * Rejects with a Refusal of one of `change`, by its index among them, or of another request.
 */
export async function compareAndSet(
  client: PocketBaseClient,
  id: string,
  count: number,
  requests: {
    readonly change: readonly BatchRequest[];
    readonly log: BatchRequest;
    readonly removesFile: boolean;
  },
  signal: AbortSignal,
): Promise<{ readonly won: true; readonly records: readonly RawRecord[] } | { readonly won: false }> {
  const { change, log, removesFile } = requests;
  const first = record('POST', id, 0);
  const ends = removesFile ? [record('DELETE', id, 0)] : [record('POST', id, count + 1)];
  const starts = count === 0 ? [first] : [record('DELETE', id, count), first];
  for (const start of starts) {
    const tokens = [start, ...ends];
    try {
      const [logged, ...answers] = (await client.batch([...tokens, log, ...change], signal)).slice(
        tokens.length,
      );
      const missing = answers.indexOf(undefined);
      if (missing < 0) return { won: true, records: answers as RawRecord[] };
      const added = change.flatMap(({ method, collection }, i) =>
        method === 'POST' && answers[i] ? [{ method: 'DELETE', collection, id: answers[i].id } as const] : [],
      );
      const voided = logged ? [emptied(logged.id)] : [];
      await client.batch([...added, ...voided, ...tokens.map(opposite).reverse()], signal);
      throw leftOut(missing);
    } catch (error) {
      if (!(error instanceof Refusal) || error.status === 200) throw error;
      if (error.index > tokens.length) throw error.at(error.index - tokens.length - 1);
      if (error.status !== 404 && !isTaken(error, 'id')) throw error;
    }
  }
  return { won: false };
}

/** The request that undoes one for a revision record. */
function opposite({ method, collection, id, body }: BatchRequest): BatchRequest {
  return method === 'DELETE'
    ? { method: 'POST', collection, body: { id } }
    : { method: 'DELETE', collection, id: body!.id as string };
}

function record(method: 'POST' | 'DELETE', fileId: string, count: number): BatchRequest {
  const id = `${fileId}-${count}`;
  return method === 'POST'
    ? { method, collection: REVISIONS, body: { id } }
    : { method, collection: REVISIONS, id };
}
