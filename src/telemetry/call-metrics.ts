import type { Metrics } from './metrics.ts';

/** A finished call of an RPC. */
export interface EndedCall {
  /** Full name, such as `asset.v1.AssetService/GetFile`. */
  readonly method: string;
  /** The gRPC name of its code, such as `NOT_FOUND`. */
  readonly code: string;
  /** Reason of its error without prefix; empty if it has none. */
  readonly reason: string;
  readonly durationMs: number;
}

/** Called for every call. Must not throw. */
export interface CallObserver {
  /** A call arrived that passed the gate; {@link ended} follows. */
  begun(): void;
  ended(call: EndedCall, wasBegun: boolean): void;
  /** Bytes of files that a message brought. */
  received(bytes: number): void;
  /** Bytes of files that a message took away. */
  sent(bytes: number): void;
}

/** Reasons that operators look for: their counters exist from the start, so that the first increase is one. */
const WATCHED_REASONS = [
  ...['QUOTA_EXCEEDED', 'TOO_MANY_UPLOADS', 'RATE_LIMITED', 'MALWARE_FOUND', 'INTERNAL', 'BLOB_MISSING'],
  ...['STORE_UNAVAILABLE', 'CATALOG_UNAVAILABLE', 'IDENTITY_UNAVAILABLE', 'SCANNER_UNAVAILABLE'],
  'VARIANTS_UNAVAILABLE',
];

/** Metrics of calls: rate, errors and duration by RPC and code, and bytes of files in and out. */
export function callMetrics({
  meter,
  histogram,
  counter,
}: Pick<Metrics, 'meter' | 'histogram' | 'counter'>): CallObserver {
  const duration = histogram(
    'rpc.server.call.duration',
    { unit: 's', description: 'Duration of calls, from their headers to the end of the response' },
    ['rpc.method', 'rpc.response.status_code'],
  );
  const errors = counter(
    'asset.rpc.errors',
    { unit: '{call}', description: 'Failed calls by reason, such as QUOTA_EXCEEDED' },
    ['reason'],
  );
  for (const reason of WATCHED_REASONS) errors.record(0, reason);
  let running = 0;
  meter
    .createObservableGauge('asset.rpc.active', { unit: '{call}', description: 'Calls that are running' })
    .addCallback((result) => result.observe(running));
  const content = counter(
    'asset.content',
    { unit: 'By', description: 'Bytes of files that callers sent to the service and received from it' },
    ['direction'],
  );
  content.record(0, 'received');
  content.record(0, 'sent');
  return {
    begun: () => (running += 1),
    ended({ method, code, reason, durationMs }, wasBegun) {
      if (wasBegun) running -= 1;
      duration.record(durationMs / 1000, method, code);
      if (reason !== '') errors.record(1, reason);
    },
    received: (bytes) => content.record(bytes, 'received'),
    sent: (bytes) => content.record(bytes, 'sent'),
  };
}
