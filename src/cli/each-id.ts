import pLimit from 'p-limit';
import { explain } from './explain.ts';
import { say } from './terminal.ts';

/** Maximum number of concurrent calls. */
const CONCURRENCY = 8;

/**
 * Runs `work` for each id, several at once, and takes the results in the order of the ids. A failure is printed
 * with its id and sets the exit code to 1; the others continue.
 *
 * @param take - what to do with a result; false stops
 * @throws the error of `work` if there is only one id
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
