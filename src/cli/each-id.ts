import pLimit from 'p-limit';
import { explain } from './explain.ts';
import { say } from './terminal.ts';

/** Ids in hand at once. */
const CONCURRENCY = 8;

/**
 * Does something for each of some ids, several at once, and takes the results in the order of the ids. One that fails is told by its id
 * and makes the exit code 1; the others go on.
 *
 * @param take - what to do with a result; false ends it
 * @throws what `work` fails with, where there is only one id
 */
export async function forEachId<T>(
  ids: readonly string[],
  signal: AbortSignal,
  work: (id: string) => Promise<T>,
  take: (result: T, id: string) => Promise<boolean>,
): Promise<void> {
  const [only, ...others] = new Set(ids);
  if (only !== undefined && others.length === 0) {
    await take(await work(only), only);
    return;
  }
  const limit = pLimit(CONCURRENCY);
  const running = [...new Set(ids)].map((id) => ({
    id,
    outcome: limit(async () => {
      signal.throwIfAborted();
      return work(id);
    }).then(
      (result) => ({ result, error: undefined }),
      (error: unknown) => ({ result: undefined, error }),
    ),
  }));
  for (const { id, outcome } of running) {
    const { result, error } = await outcome;
    signal.throwIfAborted();
    if (error !== undefined) {
      process.exitCode = 1;
      say(`${id}: ${explain(error)}`);
    } else if (!(await take(result as T, id))) {
      limit.clearQueue();
      return;
    }
  }
}
