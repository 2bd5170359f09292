import { UploadError } from './errors.ts';
import { sourceChanged } from './hash.ts';

/** Where to send one part, and what. */
export interface PartPut {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Blob;
  /** Called with the bytes of this try that were sent so far. */
  readonly onSent: (bytes: number) => void;
  readonly signal: AbortSignal;
}

/** Headers that only the browser sets. */
const OF_BROWSER = new Set(['content-length', 'host']);

/** Time without a byte after which a part is tried again, in milliseconds. */
const STALL_MS = 60_000;

/**
 * Sends one part to the store. By XMLHttpRequest, since fetch() tells no progress.
 *
 * @throws UploadError `isRetriable` if the part may be sent again, to a new URL
 */
export function putPart({ url, headers, body, onSent, signal }: PartPut): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    let stall: ReturnType<typeof setTimeout>;
    const moved = () => {
      clearTimeout(stall);
      stall = setTimeout(() => request.abort(), STALL_MS);
    };
    const onAbort = () => request.abort();
    request.onloadend = () => {
      clearTimeout(stall);
      signal.removeEventListener('abort', onAbort);
      const { status } = request;
      if (status >= 200 && status < 300) resolve();
      else if (signal.aborted) reject(signal.reason);
      else void failureOf(status, body).then(reject);
    };
    request.upload.onprogress = ({ loaded }) => {
      moved();
      onSent(loaded);
    };
    request.open('PUT', url);
    for (const [name, value] of Object.entries(headers)) {
      if (!OF_BROWSER.has(name.toLowerCase())) request.setRequestHeader(name, value);
    }
    // A Blob sets its type as the content type, which the store would compare with the signature.
    const isTyped = Object.keys(headers).some((name) => name.toLowerCase() === 'content-type');
    if (signal.aborted) return reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    moved();
    request.send(isTyped ? body : body.slice(0, body.size, ''));
  });
}

/** No status: no connection, or the store refused the page by its CORS rules, or the file cannot be read. */
async function failureOf(status: number, body: Blob): Promise<UploadError> {
  if (status === 0) {
    try {
      await body.slice(0, 1).arrayBuffer();
    } catch (error) {
      return sourceChanged(error);
    }
    const message = 'the store cannot be reached, or its CORS rules do not allow PUT from this page';
    return new UploadError('unavailable', message, { isRetriable: true });
  }
  // 403: the URL has expired. 404: the upload was completed or removed.
  const isRetriable = status === 403 || status === 408 || status === 429 || status >= 500;
  return new UploadError('unavailable', `the store refused a part with HTTP status ${status}`, {
    isRetriable,
  });
}
