import type { Calls, Standing } from './calls.ts';
import { putPart } from './put-part.ts';
import { withRetries } from './retries.ts';
import type { UploadFileOptions } from './upload-options.ts';

/** Number of URLs that are asked for at once. They expire, so not many more than are used soon. */
const SIGNED_AT_ONCE = 16;

/** Sends the parts of a file that are not stored yet, some at a time. */
export async function sendParts(
  calls: Calls,
  { uploadId, partSizeBytes, stored }: Standing,
  file: Blob,
  options: UploadFileOptions & { readonly signal: AbortSignal },
): Promise<void> {
  const { concurrency = 4, retries = 8, onProgress } = options;
  const known = new Set(stored);
  const count = file.size === 0 ? 0 : Math.ceil(file.size / partSizeBytes);
  const missing = Array.from({ length: count }, (_none, index) => index + 1).filter((n) => !known.has(n));
  const part = (n: number) => file.slice((n - 1) * partSizeBytes, n * partSizeBytes);
  const sent = new Map(stored.map((n) => [n, part(n).size]));
  const tell = () => {
    const sentBytes = [...sent.values()].reduce((sum, bytes) => sum + bytes, 0);
    onProgress?.({ sentBytes: Math.min(sentBytes, file.size), sizeBytes: file.size });
  };
  tell();

  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const urls = new SignedUrls((numbers) => calls.sign(uploadId, numbers), missing);
  const next = missing.values();
  const send = async () => {
    for (const n of next) {
      await withRetries(
        async (attempt) => {
          const { url, headers } = await urls.of(n, attempt > 1);
          const onSent = (bytes: number) => {
            sent.set(n, bytes);
            tell();
          };
          await putPart({ url, headers, body: part(n), onSent, signal });
        },
        { signal, retries },
      );
      sent.set(n, part(n).size);
      tell();
    }
  };
  const senders = Array.from({ length: Math.max(1, concurrency) }, () => send());
  try {
    await Promise.all(senders);
  } catch (error) {
    stop.abort(error);
    await Promise.allSettled(senders);
    throw error;
  }
}

type Signed = Awaited<ReturnType<Calls['sign']>>[number];

/** URLs of parts, asked for in batches shortly before they are used. */
class SignedUrls {
  readonly #sign: (numbers: readonly number[]) => Promise<readonly Signed[]>;
  readonly #numbers: readonly number[];
  readonly #batches = new Map<number, Promise<readonly Signed[]>>();

  constructor(sign: (numbers: readonly number[]) => Promise<readonly Signed[]>, numbers: readonly number[]) {
    this.#sign = sign;
    this.#numbers = numbers;
  }

  /** The URL of a part; `anew` after one that did not work. */
  async of(number: number, anew: boolean): Promise<Signed> {
    if (anew) return (await this.#sign([number]))[0]!;
    const first = Math.floor(this.#numbers.indexOf(number) / SIGNED_AT_ONCE) * SIGNED_AT_ONCE;
    let batch = this.#batches.get(first);
    if (batch === undefined) {
      batch = this.#sign(this.#numbers.slice(first, first + SIGNED_AT_ONCE));
      this.#batches.set(first, batch);
    }
    return (await batch).find(({ partNumber }) => partNumber === number)!;
  }
}
