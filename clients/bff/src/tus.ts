import { Server, type ServerOptions } from '@tus/server';
import { toBody, toTusError } from './tus-errors.ts';
import { ProcessLocks } from './tus-locks.ts';
import { AssetTusStore, type TusStoreOptions } from './tus-store.ts';

export type { ErrorBody } from './tus-errors.ts';
export {
  AssetTusStore,
  type AssetUpload,
  describeTusFile,
  type TusCaller,
  type TusMetadata,
  type TusStoreOptions,
} from './tus-store.ts';

/** A request as @tus/server passes it to its hooks: a web `Request`. */
export type TusRequest = Parameters<NonNullable<ServerOptions['onIncomingRequest']>>[0];

/** Options of {@link createTusServer}: those of @tus/server, and where the files go. */
export type TusServerOptions = Omit<ServerOptions, 'locker'> &
  Partial<Pick<ServerOptions, 'locker'>> &
  TusStoreOptions<TusRequest>;

/** How long a request that goes on with an upload waits for one that still runs in this process, in milliseconds. */
const DRAIN_MS = 500;

const METHODS = ['POST', 'HEAD', 'PATCH', 'DELETE'] as const;

/**
 * Creates a server of the tus protocol whose uploads become files of the Asset Service. Pass requests to its `handle`, or
 * `handleWeb`. Any number of processes can serve the same uploads; they share nothing.
 */
export function createTusServer(options: TusServerOptions): Server {
  const { caller, describe, ...rest } = options;
  const store = new AssetTusStore<TusRequest>({ caller, ...(describe && { describe }) });
  return new AssetTusServer(store, rest);
}

const METHOD_OVERRIDE = 'x-http-method-override';

/** The method that a POST stands for: the protocol allows it where a proxy passes neither PATCH nor DELETE. */
function methodOf(method: string | undefined, override: unknown): 'PATCH' | 'DELETE' | undefined {
  const asked = typeof override === 'string' ? override.toUpperCase() : '';
  return method === 'POST' && (asked === 'PATCH' || asked === 'DELETE') ? asked : undefined;
}

class AssetTusServer extends Server {
  constructor(
    store: AssetTusStore<TusRequest>,
    options: Omit<TusServerOptions, keyof TusStoreOptions<unknown>>,
  ) {
    const exposedHeaders = [...(options.exposedHeaders ?? []), 'Retry-After', 'Upload-Expires'];
    super({
      ...{ locker: new ProcessLocks(), lockDrainTimeout: DRAIN_MS, relativeLocation: true },
      ...{ ...options, exposedHeaders, datastore: store },
    });
    for (const method of METHODS) {
      const handler = this.handlers[method];
      const send = handler.send.bind(handler);
      handler.send = async (request, context, headers = new Headers()) => {
        try {
          return await store.serve(request, async () => {
            const response = await send(request, context, headers);
            const expireTime = store.served?.expireTime;
            if (expireTime) response.headers.set('Upload-Expires', expireTime.toUTCString());
            return response;
          });
        } catch (error) {
          const failure = toTusError(error);
          for (const [name, value] of Object.entries(failure.headers)) headers.set(name, value);
          throw failure;
        }
      };
    }
  }

  override handle(...[request, response]: Parameters<Server['handle']>): Promise<void> {
    const method = methodOf(request.method, request.headers[METHOD_OVERRIDE]);
    if (method !== undefined) request.method = method;
    return super.handle(request, response);
  }

  override handleWeb(request: Request): Promise<Response> {
    const method = methodOf(request.method, request.headers.get(METHOD_OVERRIDE));
    // Node.js requires `duplex` for a body that is a stream.
    const init: RequestInit & { duplex: 'half' } = { method: method ?? request.method, duplex: 'half' };
    return super.handleWeb(method === undefined ? request : new Request(request, init));
  }

  /** Responds to a request that failed: in JSON, also where @tus/server itself refuses it. */
  override write(...args: Parameters<Server['write']>): ReturnType<Server['write']> {
    const [context, headers, status, body = ''] = args;
    if (status < 400) return super.write(...args);
    headers.set('Content-Type', 'application/json');
    headers.set('Cache-Control', 'no-store');
    const isJson = body.startsWith('{');
    const text = isJson ? body : toBody({ code: 'PROTOCOL', message: body.trim() });
    return super.write(context, headers, status, text);
  }
}
