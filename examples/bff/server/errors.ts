import { AssetClientError, httpStatus } from '@asset-service/bff';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { languageOf, textOf, titleOf, type Language } from './language.ts';

/** The body of every error. */
export interface ErrorBody {
  readonly error: {
    readonly status: number;
    /** For programs: a reason of `asset.v1.ErrorReason` or of this BFF. */
    readonly reason: string;
    /** For people, in their language. */
    readonly message: string;
    /** What to correct, for developers; not for failures of the BFF itself. */
    readonly detail?: string;
    readonly metadata?: Readonly<Record<string, string>>;
    /** Finds this request in the log. */
    readonly requestId: string;
  };
}

/** What a response says about an error. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: ErrorBody;
}

/** Reasons whose metadata a person may see; others may name what is not theirs. */
const SHOWN = ['usage', 'content_type', 'detected_type', 'max_size_bytes', 'limit', 'used', 'quota', 'field'];

/**
 * Answers every error as JSON with a reason and a message for people. Who opens an address in a browser, such as a link that
 * has ended, gets a page with the message.
 */
export function answerErrors(app: FastifyInstance): void {
  app.setErrorHandler((error, request, reply) => sendError(error, request, reply));
  app.setNotFoundHandler((request, reply) => {
    const headers = { 'cache-control': 'no-store' };
    return send(
      { status: 404, headers, body: bodyOf(404, 'NOT_FOUND', languageOf(request), request.id) },
      request,
      reply,
    );
  });
}

/** Logs an error if it is the BFF's own, and answers it. */
export function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const answer = answerOf(error, languageOf(request), request.id);
  if (answer.status >= 500) request.log.error({ err: error }, 'request failed');
  return send(answer, request, reply);
}

function send({ status, headers, body }: Answer, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  reply.code(status).headers(headers);
  if (!isOpened(request)) return reply.send(body);
  const vary = 'accept, accept-language';
  return reply
    .headers({ 'content-type': 'text/html; charset=utf-8', vary })
    .send(pageOf(body, languageOf(request)));
}

/** True if a person opened the address; scripts of the page accept anything. */
function isOpened({ method, url, headers }: FastifyRequest): boolean {
  return method === 'GET' && !url.startsWith('/api/') && /\btext\/html\b/.test(headers.accept ?? '');
}

function pageOf({ error }: ErrorBody, language: Language): string {
  const title = escaped(titleOf(language));
  return `<!doctype html>
<html lang="${language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
</head>
<body>
<main>
<h1>${escaped(error.message)}</h1>
<p><a href="/">${title}</a></p>
</main>
</body>
</html>
`;
}

function escaped(text: string): string {
  return text.replaceAll(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** Converts any error. */
export function answerOf(error: unknown, language: Language, requestId: string): Answer {
  const headers: Record<string, string> = { 'cache-control': 'no-store', vary: 'accept-language' };
  if (!(error instanceof AssetClientError)) {
    // Fastify's own refusals, such as a body that is no JSON, have a status below 500.
    const status = (error as FastifyError).statusCode ?? 500;
    const known = status >= 400 && status < 500;
    const detail = known ? { detail: (error as Error).message } : {};
    const reason = known ? 'REQUEST_INVALID' : 'INTERNAL';
    return {
      status: known ? status : 500,
      headers,
      body: bodyOf(known ? status : 500, reason, language, requestId, detail),
    };
  }
  const status = statusOf(error);
  if (error.retryDelayMs !== undefined) headers['retry-after'] = String(Math.ceil(error.retryDelayMs / 1000));
  const reason = error.reason ?? error.code;
  const shown = Object.entries(error.metadata).filter(([name]) => SHOWN.includes(name));
  const more = {
    ...(status < 500 && { detail: error.message }),
    ...(shown.length > 0 && { metadata: Object.fromEntries(shown) }),
  };
  const expired = status === 401 && reason !== 'SIGN_IN_REQUIRED' ? 'SIGN_IN_EXPIRED' : reason;
  return { status, headers, body: bodyOf(status, expired, language, requestId, more) };
}

/** A token of the BFF's own account that the service refuses is no fault of the person's. */
function statusOf(error: AssetClientError): number {
  const own = error.code === 'UNAUTHENTICATED' && error.metadata['credential'] === 'authorization';
  return own || error.reason === 'TOKEN_UNAVAILABLE' || error.reason === 'END_USER_NOT_ALLOWED'
    ? 502
    : httpStatus(error);
}

function bodyOf(
  status: number,
  reason: string,
  language: Language,
  requestId: string,
  more: object = {},
): ErrorBody {
  const metadata = 'metadata' in more ? (more.metadata as Record<string, string>) : {};
  return {
    error: { status, reason, message: textOf(language, reason, status, metadata), ...more, requestId },
  };
}
