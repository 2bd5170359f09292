import { channel } from 'node:diagnostics_channel';

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

const NAME = 'asset-service.request';
const requests = channel(NAME);

/** True if somebody wants to know of requests. Drivers ask before they measure. */
export function areRequestsWatched(): boolean {
  return requests.hasSubscribers;
}

/** Tells of a request when it has ended, in the asynchronous context of the call that it belongs to. */
export function tellRequest(request: DriverRequest): void {
  requests.publish(request);
}

/** Runs a request and tells of it. */
export async function toldRequest<T>(
  request: Pick<DriverRequest, 'system' | 'name'>,
  work: () => Promise<T>,
): Promise<T> {
  if (!requests.hasSubscribers) return work();
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

/** Calls `listener` for every request until the returned function is called. */
export function watchRequests(listener: (request: DriverRequest) => void): () => void {
  const onMessage = (message: unknown) => listener(message as DriverRequest);
  requests.subscribe(onMessage);
  return () => void requests.unsubscribe(onMessage);
}
