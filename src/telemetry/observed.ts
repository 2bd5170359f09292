import type { Logger } from 'pino';
import type { FileCatalog } from '../catalog/file-catalog.ts';
import { isAssetError, type Reason } from '../errors/asset-error.ts';
import type { BlobStore } from '../storage/blob-store.ts';

/** A finished call of a store or a catalog. */
export interface Observation {
  /** Name of the call, such as `store.putPart` or `catalog.uploads.open`. */
  readonly operation: string;
  readonly durationMs: number;
  /** `ok`; the reason of an AssetError; `aborted` if the caller cancelled it; `error` for anything else. */
  readonly outcome: 'ok' | Reason | 'aborted' | 'error';
}

/** Runs a call, whose name is given, and returns what it returns. */
export type CallTracer = (operation: string, call: () => unknown) => unknown;

/** Called for every call. Must not throw. */
export type Observer = (observation: Observation) => void;

/** An observer that passes calls on to each of these; undefined if there is none. */
export function observers(...all: readonly (Observer | undefined)[]): Observer | undefined {
  const present = all.filter((one) => one !== undefined);
  if (present.length < 2) return present[0];
  return (observation) => {
    for (const observe of present) observe(observation);
  };
}

/** The same store; reports every call that returns a promise. A read is finished when its stream is open. */
export function observedStore(
  store: BlobStore,
  observer: Observer | undefined,
  tracer?: CallTracer,
): BlobStore {
  const watch = watcherOf(observer, tracer);
  return watch ? observed(store, 'store', watch) : store;
}

/** The same catalog; reports every call, also of its parts, such as `catalog.uploads`. */
export function observedCatalog(
  catalog: FileCatalog,
  observer: Observer | undefined,
  tracer?: CallTracer,
): FileCatalog {
  const watch = watcherOf(observer, tracer);
  return watch ? observed(catalog, 'catalog', watch) : catalog;
}

function watcherOf(observer: Observer | undefined, tracer: CallTracer | undefined): CallTracer | undefined {
  if (observer === undefined) return tracer;
  if (tracer === undefined) return (operation, call) => watched(call, operation, observer);
  return (operation, call) => tracer(operation, () => watched(call, operation, observer));
}

/** An observer that logs each call at debug; undefined if the log omits that level. */
export function driverCallLog(log: Logger): Observer | undefined {
  if (!log.isLevelEnabled('debug')) return undefined;
  return ({ operation, durationMs, outcome }) =>
    log.debug({ operation, ms: Math.round(durationMs * 10) / 10, outcome }, 'driver call');
}

/** A proxy for an object: methods run on the object itself, and parts are observed too. */
function observed<T extends object>(target: T, name: string, watch: CallTracer): T {
  const members = new Map<PropertyKey, unknown>();
  const memberOf = (key: PropertyKey): unknown => {
    const value: unknown = Reflect.get(target, key, target);
    if (typeof value === 'function') {
      const method = value as (...args: unknown[]) => unknown;
      // Built once: this runs for every call.
      const operation = `${name}.${String(key)}`;
      return (...args: unknown[]) => watch(operation, () => method.apply(target, args));
    }
    return isPart(value) ? observed(value, `${name}.${String(key)}`, watch) : value;
  };
  return new Proxy(target, {
    get: (_, key) => {
      if (!members.has(key)) members.set(key, memberOf(key));
      return members.get(key);
    },
  });
}

/** True for a part with methods; data is returned unchanged. */
function isPart(value: unknown): value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype !== null && Object.getPrototypeOf(prototype) !== null;
}

function watched(call: () => unknown, operation: string, observer: Observer): unknown {
  const started = performance.now();
  const result = call();
  // The caller gets the promise of the driver itself: one more would make each call later.
  if (isPromise(result)) {
    result.then(
      () => observer({ operation, durationMs: performance.now() - started, outcome: 'ok' }),
      (error: unknown) =>
        observer({ operation, durationMs: performance.now() - started, outcome: outcomeOf(error) }),
    );
  }
  return result;
}

function isPromise(value: unknown): value is Promise<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}

/** The outcome of a call that threw. */
export function outcomeOf(error: unknown): Observation['outcome'] {
  if (isAssetError(error)) return error.reason;
  const name = typeof error === 'object' && error !== null && 'name' in error ? error.name : '';
  return name === 'AbortError' || name === 'TimeoutError' ? 'aborted' : 'error';
}
