/** A finished request of a driver to its server: one HTTP exchange or SQL statement, without retries. */
export interface DriverRequest {
  readonly system: 's3' | 'pocketbase' | 'postgresql' | 'sqlite';
  /** What it did, such as `PutObject`, `GET /api/batch`, `SELECT`; without ids, keys and values. */
  readonly name: string;
  readonly durationMs: number;
  /** Further attributes by the names of OpenTelemetry. */
  readonly attributes?: Readonly<Record<string, string | number>>;
  /** Why it failed, if it did. */
  readonly error?: unknown;
}

interface Watcher {
  readonly listener: (request: DriverRequest) => void;
  /** True if it wants to know of the requests of the current call. */
  readonly isWanted: () => boolean;
}

const watchers = new Set<Watcher>();

/** True if somebody may want to know of requests. */
export function areRequestsWatched(): boolean {
  return watchers.size > 0;
}

/** True if somebody wants to know of the requests of the current call. Drivers ask before they measure. */
export function isRequestWanted(): boolean {
  for (const { isWanted } of watchers) if (isWanted()) return true;
  return false;
}

/** Tells of a request when it has ended, in the asynchronous context of the call that it belongs to. */
export function tellRequest(request: DriverRequest): void {
  for (const { listener, isWanted } of watchers) if (isWanted()) listener(request);
}

/** Runs a request and tells of it. */
export async function toldRequest<T>(
  request: Pick<DriverRequest, 'system' | 'name'>,
  work: () => Promise<T>,
): Promise<T> {
  if (!isRequestWanted()) return work();
  const started = performance.now();
  const tell = (more: Partial<DriverRequest>) =>
    tellRequest({ ...request, ...more, durationMs: performance.now() - started });
  try {
    const value = await work();
    tell({});
    return value;
  } catch (error) {
    tell({ error });
    throw error;
  }
}

/**
 * Calls `listener` for the requests of calls for which `isWanted` is true, until the returned function is called. Both run in
 * the asynchronous context of the call, and must not throw.
 */
export function watchRequests(
  listener: (request: DriverRequest) => void,
  isWanted: () => boolean,
): () => void {
  const watcher = { listener, isWanted };
  watchers.add(watcher);
  return () => void watchers.delete(watcher);
}
