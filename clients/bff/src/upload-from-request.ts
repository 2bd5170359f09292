import {
  type AssetClient,
  AssetClientError,
  type AssetFile,
  type ByteStream,
  type UploadOptions,
} from '@asset-service/client-core';
import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';

/** Options that the BFF sets; the others come from the request. */
export type RequestUploadOptions = UploadOptions;

/** A request of a Node.js server, over HTTP/1.1 or HTTP/2. */
export type NodeRequest = IncomingMessage | Http2ServerRequest;

/** What an upload needs of a request of either kind. */
interface Incoming {
  header(name: string): string | undefined;
  readonly body: ByteStream;
  /** Calls back if the browser disconnects; returns a function that stops listening. */
  onGone(callback: () => void): () => void;
}

/** Uploads the body of a request. */
export async function uploadFromRequest(
  client: AssetClient,
  request: NodeRequest | Request,
  options: RequestUploadOptions,
): Promise<AssetFile> {
  if (typeof request !== 'object' || request === null) throw unread('there is no request');
  const incoming = 'socket' in request ? fromNode(request) : fromWeb(request);
  const { signal } = options;
  const gone = new AbortController();
  const stopListening = incoming.onGone(() => gone.abort(new Error('the browser went away')));
  try {
    return await client.uploadFile(incoming.body, {
      ...options,
      name: options.name ?? declaredName(incoming),
      contentType: options.contentType ?? declaredType(incoming),
      sizeBytes: options.sizeBytes ?? declaredSize(incoming),
      signal: signal === undefined ? gone.signal : AbortSignal.any([gone.signal, signal]),
    });
  } finally {
    stopListening();
  }
}

function fromNode(request: NodeRequest): Incoming {
  if (request.readableDidRead || request.readableEnded) throw unread(READ_BEFORE);
  return {
    header: (name) => {
      const value = request.headers[name];
      return Array.isArray(value) ? value[0] : value;
    },
    body: { [Symbol.asyncIterator]: () => readKindly(request) },
    onGone: (callback) => {
      // Watches the connection, not the body: the browser may also leave after the body, and then nobody would get
      // the id.
      const connection = 'stream' in request ? request.stream : request.socket;
      if (connection.destroyed) callback();
      connection.once('close', callback);
      return () => connection.off('close', callback);
    },
  };
}

/**
 * Reads a request without destroying it, because that would close the connection for the error response. Like
 * Node.js for an unread body, it discards what a failed upload did not read: most browsers read a response only
 * after they have sent everything.
 */
function readKindly(request: NodeRequest): AsyncIterator<Uint8Array> {
  const iterator = request.iterator({ destroyOnReturn: false });
  return {
    next: () => iterator.next() as Promise<IteratorResult<Uint8Array>>,
    return: async () => {
      await iterator.return?.();
      request.resume();
      return { done: true, value: undefined };
    },
  };
}

function fromWeb(request: Request): Incoming {
  if (request.bodyUsed || request.body?.locked === true) throw unread(READ_BEFORE);
  return {
    header: (name) => request.headers.get(name) ?? undefined,
    body: request.body ?? new Blob([]).stream(),
    onGone: (callback) => {
      if (request.signal.aborted) callback();
      request.signal.addEventListener('abort', callback);
      return () => request.signal.removeEventListener('abort', callback);
    },
  };
}

/** A compressed or chunked body has another size than the header says, if there is one. */
function declaredSize(incoming: Incoming): number | undefined {
  const length = incoming.header('content-length');
  if (
    length === undefined ||
    !/^\d{1,15}$/.test(length) ||
    incoming.header('transfer-encoding') !== undefined
  ) {
    return undefined;
  }
  return Number(length);
}

function declaredName(incoming: Incoming): string | undefined {
  const name = incoming.header('x-file-name');
  if (name === undefined) return undefined;
  try {
    return decodeURIComponent(name);
  } catch {
    throw unfit('the header x-file-name is not percent-encoded UTF-8');
  }
}

/** The type to store; undefined for the type that browsers send for unknown files. */
function declaredType(incoming: Incoming): string | undefined {
  const encoding = incoming.header('content-encoding');
  if (encoding !== undefined && encoding !== 'identity') throw unfit('the body of the request is compressed');
  const type = incoming.header('content-type');
  if (type !== undefined && /^(?:multipart\/|application\/x-www-form-urlencoded)/i.test(type)) {
    throw unfit('the body of the request is a form; send the bytes of the file as they are');
  }
  return type === 'application/octet-stream' ? undefined : type;
}

const READ_BEFORE =
  'the body of the request was read already: let no parser of bodies see the requests of uploads';

function unread(message: string): AssetClientError {
  return new AssetClientError('INVALID_ARGUMENT', message, { reason: 'SOURCE_FAILED' });
}

function unfit(message: string): AssetClientError {
  return new AssetClientError('INVALID_ARGUMENT', message);
}
