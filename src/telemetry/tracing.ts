import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import {
  AlwaysOnSampler,
  BatchSpanProcessor,
  RandomIdGenerator,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { env } from 'node:process';
import type { Logger } from 'pino';
import { watchRequests } from '../system/requests.ts';
import { currentSpan, recordRequest, traced } from './driver-spans.ts';
import { processResource, reportExportFailures } from './open-telemetry.ts';
import type { CallTracer } from './observed.ts';
import { samplerOf } from './sampler.ts';
import {
  startCall,
  startRequest,
  startUseCase,
  type CallSpan,
  type RequestSpan,
  type Traced,
  type TracedCall,
  type TracedRequest,
} from './server-spans.ts';

/** Creates spans and exports them over OTLP. What is not sampled has no span, and nothing below it. */
export interface Tracing {
  startCall(call: TracedCall): Traced<CallSpan>;
  startRequest(request: TracedRequest): Traced<RequestSpan>;
  /**
   * Starts the span of a use case below that of the current call; undefined if that is not sampled.
   *
   * @param method - of the RPC, such as `getFile`
   */
  startUseCase(method: string): CallSpan | undefined;
  /** Makes a span of each call of a store or a catalog that a traced call makes. */
  readonly traceDriver: CallTracer;
  /** Sends the last spans and stops. */
  close(): Promise<void>;
}

/** Opens tracing; spans are sampled by the caller's decision, and without one by `OTEL_TRACES_SAMPLER`. */
export function openTracing(log: Logger): Tracing {
  reportExportFailures(log);
  const delay = Number(env['OTEL_BSP_SCHEDULE_DELAY']);
  const processor = new BatchSpanProcessor({
    exporter: new OTLPTraceExporter(),
    ...(delay > 0 && { scheduledDelayMillis: delay }),
  });
  const ids = new RandomIdGenerator();
  let newestTraceId = '';
  const newTraceId = () => (newestTraceId = ids.generateTraceId());
  const provider = new TracerProvider({
    resource: processResource(),
    // The sampler below is asked before a span is started.
    sampler: new AlwaysOnSampler(),
    idGenerator: { generateSpanId: () => ids.generateSpanId(), generateTraceId: () => newestTraceId },
    spanProcessors: [processor],
  });
  const tracer = provider.getTracer('asset-service');
  const maker = { tracer, sampler: samplerOf(env, (doubt) => log.warn(doubt)), newTraceId };
  const stopWatching = watchRequests(
    (request) => recordRequest(tracer, request),
    () => currentSpan() !== undefined,
  );
  return {
    startCall: (call) => startCall(maker, call),
    startRequest: (request) => startRequest(maker, request),
    startUseCase: (method) => startUseCase(tracer, method),
    traceDriver: (operation, work) => traced(tracer, operation, work),
    async close() {
      stopWatching();
      // A collector that does not answer must not keep the process from its end.
      const limit = new Promise<void>((resolve) => setTimeout(resolve, 5_000).unref());
      await Promise.race([provider.shutdown().catch(() => undefined), limit]);
    },
  };
}
