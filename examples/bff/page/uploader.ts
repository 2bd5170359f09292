import Uppy, { type UppyFile } from '@uppy/core';
import GoldenRetriever from '@uppy/golden-retriever';
import Tus from '@uppy/tus';
import { currentSession, problemOf, readSession, untilSignedIn, type Usage } from './api.ts';
import { t } from './i18n.ts';
import { tabSlot } from './tab-slot.ts';

/** What goes with each file. The server takes the owner from the session, never from here. */
export type Meta = {
  usage?: string;
  /** Names this one attempt to upload: if the answer to its start is lost, the repetition finds the same upload. */
  fingerprint?: string;
};
type Body = Record<string, never>;
export type Uploader = Uppy<Meta, Body>;
export type Upload = UppyFile<Meta, Body>;

/** Bytes of one request. A proxy's limit of bodies and a lost connection cost at most this much. */
const PIECE_BYTES = 16 * 1024 * 1024;

/** A larger file is not kept in this browser: after a reload the person chooses it again, and its upload goes on. */
const KEPT_BYTES = 128 * 1024 * 1024;

const ENDPOINT = '/uploads/';

/** Makes what uploads: tus, with what is unfinished kept in this browser. */
export async function createUploader(locale: Uppy<Meta, Body>['opts']['locale']): Promise<Uploader> {
  const scope = `uploads-${currentSession().user!.id}`;
  const uppy: Uploader = new Uppy<Meta, Body>({
    id: `${scope}-${await tabSlot(scope)}`,
    autoProceed: true,
    locale,
    onBeforeFileAdded: (file) => ({
      ...file,
      meta: { ...file.meta, fingerprint: file.meta.fingerprint ?? crypto.randomUUID() },
    }),
  });
  uppy.use(Tus<Meta, Body>, {
    endpoint: ENDPOINT,
    limit: 3,
    chunkSize: PIECE_BYTES,
    retryDelays: [0, 1_000, 3_000, 5_000, 10_000, 20_000],
    removeFingerprintOnSuccess: true,
    allowedMetaFields: ['name', 'type', 'usage', 'fingerprint'],
    onBeforeRequest: (request) => {
      // Read for each request: it is another one after signing in again.
      request.setHeader('x-csrf-token', currentSession().csrf ?? '');
    },
    onShouldRetry(error, _attempt, _options, next) {
      const response = error.originalResponse;
      if (response === null || response === undefined) return next(error);
      const status = response.getStatus();
      const problem = problemOf(status, response.getBody());
      // What people read of a failure.
      error.message = problem.message;
      if (FINAL.has(status)) refused.add(error);
      if (status === 401) return (void goOnAfterSignIn(uppy), false);
      if (problem.reason === 'REQUEST_FORGED') void readSession();
      return problem.reason === 'REQUEST_FORGED' || next(error);
    },
  });
  const indexedDB = { name: uppy.getID(), maxFileSize: KEPT_BYTES, maxTotalSize: 4 * KEPT_BYTES };
  uppy.use(GoldenRetriever<Meta, Body>, { expires: 24 * 3600 * 1000, indexedDB });
  return uppy;
}

/** Statuses of what will be refused each time: a file too large, or of a wrong type. */
const FINAL: ReadonlySet<number> = new Set([413, 415]);

const refused = new WeakSet<object>();

/** True if the same file will be refused each time. */
export function isRefused(error: object): boolean {
  return refused.has(error);
}

let isWaiting = false;

/** Lets the person sign in, and then all failed uploads go on from where they were. */
async function goOnAfterSignIn(uppy: Uploader): Promise<void> {
  if (isWaiting) return;
  isWaiting = true;
  await untilSignedIn();
  isWaiting = false;
  await uppy.retryAll();
}

/** Sets what the next files are for, and what may be chosen for it. */
export function setUsage(uppy: Uploader, { name, contentTypes, maxSizeBytes }: Usage): void {
  uppy.setMeta({ usage: name });
  uppy.setOptions({
    restrictions: {
      ...uppy.opts.restrictions,
      allowedFileTypes: contentTypes.length > 0 ? [...contentTypes] : null,
      maxFileSize: maxSizeBytes,
    },
  });
}

/** What people read of a failed upload. */
export function failureOf(error: { readonly message?: string } | undefined): string {
  const text = error?.message ?? '';
  // Messages of the library itself are for developers.
  return text === '' || text.startsWith('tus:') ? t('networkFailed') : text;
}
