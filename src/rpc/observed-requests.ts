import { TLSSocket } from 'node:tls';
import { SIGNED_PATH } from '../storage/signed-url.ts';
import { outcomeOf } from '../telemetry/observed.ts';
import type { RequestObserver } from '../telemetry/request-metrics.ts';
import { parseTraceParent, runInScope } from '../telemetry/trace-context.ts';
import type { Tracing } from '../telemetry/tracing.ts';
import type { RequestHandler, Route } from './listener/dispatch.ts';

type Request = Parameters<RequestHandler>[0];

/** Names of methods that appear in spans and metrics: callers can send any. */
const METHODS: ReadonlySet<string> = new Set(
  'CONNECT DELETE GET HEAD OPTIONS PATCH POST PUT TRACE'.split(' '),
);

/**
 * Answers plain HTTP requests by `route`, each in a span and with metrics by the semantic conventions for HTTP servers. Neither
 * has the path, whose token is the permission to read a file, only its template.
 */
export function observedRequests(
  route: Route,
  observer: RequestObserver | undefined,
  tracing: Pick<Tracing, 'startRequest'> | undefined,
): RequestHandler {
  return (request, response) => {
    const started = performance.now();
    const labels = labelsOf(request);
    const header = request.headers['traceparent'];
    const parent = parseTraceParent(typeof header === 'string' ? header : null);
    const traced = tracing?.startRequest({ ...labels, version: request.httpVersion, parent });
    const traceId = traced?.traceId ?? parent?.traceId;
    const scope = traced?.span ?? (traceId && { traceId, spanId: parent?.spanId ?? '' });
    const answer = () => route(request, response);
    const failed = scope ? runInScope(scope, answer) : answer();
    response.once('close', () => {
      // Whether it failed is known by now, or right after.
      void failed.then((error) => {
        const { statusCode: status } = response;
        const isFault = error !== undefined || status >= 500;
        // The caller left, which is no fault.
        const isAborted = error === undefined && !response.writableEnded;
        const type =
          error !== undefined ? outcomeOf(error) : isAborted ? 'aborted' : isFault ? `${status}` : '';
        observer?.ended({ ...labels, status, error: type, durationMs: performance.now() - started });
        traced?.span?.end(status, type, isFault);
      });
    });
  };
}

function labelsOf(request: Request) {
  const { method = '', url = '', socket } = request;
  const scheme = request.headers[':scheme'];
  return {
    method: METHODS.has(method) ? method : '_OTHER',
    route: url.includes(SIGNED_PATH) ? `${SIGNED_PATH}{token}` : '',
    scheme: scheme === 'https' || socket instanceof TLSSocket ? 'https' : 'http',
  };
}
