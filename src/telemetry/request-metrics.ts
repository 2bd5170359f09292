import type { Meter } from '@opentelemetry/api';

/** A finished plain HTTP request. */
export interface EndedRequest {
  readonly method: string;
  /** Template of its path; empty if the service has no such path. */
  readonly route: string;
  readonly scheme: string;
  readonly status: number;
  /** Why there is no whole response, as `error.type`; empty if there is one. */
  readonly error: string;
  readonly durationMs: number;
}

/** Called for every plain HTTP request. Must not throw. */
export interface RequestObserver {
  ended(request: EndedRequest): void;
}

/** Metrics of plain HTTP requests: rate, errors and duration. */
export function requestMetrics(meter: Meter): RequestObserver {
  const duration = meter.createHistogram('http.server.request.duration', {
    unit: 's',
    description: 'Duration of plain HTTP requests, such as those of signed URLs, to the end of the response',
  });
  return {
    ended({ method, route, scheme, status, error, durationMs }) {
      duration.record(durationMs / 1000, {
        ...{ 'http.request.method': method, 'url.scheme': scheme, 'http.response.status_code': status },
        ...(route !== '' && { 'http.route': route }),
        ...(error !== '' && { 'error.type': error }),
      });
    },
  };
}
