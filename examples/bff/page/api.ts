import { errorText, language, t } from './i18n.ts';

/** A file as `GET /api/files` gives it. */
export interface FileRecord {
  readonly id: string;
  readonly name: string;
  readonly contentType: string;
  readonly sizeBytes: number;
  readonly owner: string;
  readonly usage: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly etag: string;
  readonly createTime?: string;
  readonly deleteTime?: string;
  readonly purgeTime?: string;
  /** A placeholder of the image, in base64; only from `GET /api/files/ID`. */
  readonly thumbhash?: string;
  /** Names of the smaller renditions there may be; only from `GET /api/files/ID`. */
  readonly variants?: readonly string[];
}

/** A page of a list. */
export interface FilePage {
  readonly files: readonly FileRecord[];
  readonly nextPageToken: string | null;
}

/** What may be uploaded under one usage. */
export interface Usage {
  readonly name: string;
  readonly contentTypes: readonly string[];
  readonly maxSizeBytes: number;
}

/** Who is signed in, and the settings of the page. */
export interface Session {
  readonly user: { readonly id: string; readonly name: string } | null;
  readonly csrf?: string;
  readonly settings: {
    readonly usages: readonly Usage[];
    readonly attributes: readonly string[];
    readonly sharing: boolean;
    readonly previews: { readonly small?: string; readonly large?: string };
  };
}

/** An error that has a text for people. */
export class Problem extends Error {
  readonly reason: string;
  readonly status: number;

  constructor(status: number, reason: string, message: string) {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}

/** The text for a reason that has one. */
export function errorMessage(reason: string): string {
  return errorText(reason) ?? errorText('INTERNAL')!;
}

/** The error of a response's body, of the routes or of an upload. */
export function problemOf(status: number, body: string): Problem {
  type Said = { reason?: string; message?: string; metadata?: Record<string, string> };
  let said: Said = {};
  try {
    const parsed = JSON.parse(body) as Said & { error?: Said };
    said = parsed.error ?? parsed;
  } catch {
    // A proxy answered, not the BFF.
  }
  const reason = said.reason ?? (status === 401 ? 'SIGN_IN_EXPIRED' : `HTTP_${status}`);
  const text =
    errorText(reason, said.metadata) ?? (status === 401 ? errorText('SIGN_IN_EXPIRED') : undefined);
  return new Problem(status, reason, text ?? errorText(status < 500 ? 'REQUEST_INVALID' : 'INTERNAL')!);
}

let session: Session | undefined;

/** The session as last read. */
export function currentSession(): Session {
  if (session === undefined) throw new Error('the session was not read yet');
  return session;
}

/** Reads who is signed in and the CSRF token. */
export async function readSession(): Promise<Session> {
  session = await request<Session>('/api/session');
  return session;
}

const waiting: (() => void)[] = [];
let onExpired: () => void = () => undefined;

/** Sets what lets the person sign in again; calls that wait for it go on after {@link signedInAgain}. */
export function whenExpired(ask: () => void): void {
  onExpired = ask;
}

/** Lets the person sign in again; resolves when they have. */
export function untilSignedIn(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  waiting.push(resolve);
  onExpired();
  return promise;
}

/** Lets everything go on that waits for a sign-in. */
export function signedInAgain(): void {
  for (const go of waiting.splice(0)) go();
}

/** A call of the BFF. One whose sign-in has ended waits until the person has signed in again. */
export async function call<T>(
  path: string,
  method = 'GET',
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await request<T>(path, method, body, headers);
    } catch (error) {
      if (!(error instanceof Problem) || tries > 3) throw error;
      if (error.status === 401) await untilSignedIn();
      // Somebody signed in again in another tab: the token is another one.
      else if (error.reason === 'REQUEST_FORGED') await readSession();
      else throw error;
    }
  }
}

async function request<T>(
  path: string,
  method = 'GET',
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<T> {
  const response = await fetch(path, {
    method,
    headers: {
      'accept-language': language,
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...(method !== 'GET' && { 'x-csrf-token': session?.csrf ?? '' }),
      ...headers,
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  }).catch(() => {
    throw new Problem(0, 'NETWORK', t('networkFailed'));
  });
  const text = await response.text();
  if (!response.ok) throw problemOf(response.status, text);
  return JSON.parse(text) as T;
}
