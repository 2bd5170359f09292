const reasons = new WeakSet<Error>();

/** True for the error of work that SIGINT or SIGTERM ended. */
export function isInterruption(error: Error): boolean {
  return reasons.has(error);
}

/**
 * Runs work that SIGINT and SIGTERM end: they abort its signal.
 *
 * @param reason - of the abort, which is thrown: tells the operator how to go on
 */
export async function interruptible<T>(reason: Error, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const interrupted = new AbortController();
  const interrupt = () => interrupted.abort(reason);
  reasons.add(reason);
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    return await work(interrupted.signal);
  } catch (error) {
    // Libraries throw errors of their own when they are aborted.
    throw interrupted.signal.aborted ? reason : error;
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
}
