import { type AssetClientError, createBffClient, type BffClient } from '@asset-service/bff';
import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { createClient } from '@connectrpc/connect';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  context,
  ROOT_CONTEXT,
  trace,
  type Context,
  type ContextManager,
  type Span,
  type Tracer,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { AsyncLocalStorage } from 'node:async_hooks';
import { randomBytes } from 'node:crypto';
import { eventually } from '../support/eventually.ts';
import { AUDIENCE, startIssuer, type Issuer } from '../support/issuer.ts';
import { startOtlpReceiver, type OtlpReceiver, type ReceivedSpan } from '../support/otlp-receiver.ts';
import { startService, type Service } from '../support/service.ts';
import { clientOf, TRANSPORTS } from './support/calls.ts';
import { failureOf } from './support/failures.ts';
import { POCKETBASE, POSTGRES, type Setup } from './support/setups.ts';

/** How OpenTelemetry follows asynchronous calls in a BFF. */
class AsyncContexts implements ContextManager {
  readonly #contexts = new AsyncLocalStorage<Context>();
  active = () => this.#contexts.getStore() ?? ROOT_CONTEXT;
  with: ContextManager['with'] = (active, work, self, ...args) =>
    this.#contexts.run(active, () => work.call(self, ...args));
  bind = <T>(_active: Context, target: T) => target;
  enable = () => this;
  disable = () => this;
}

describe('a trace', () => {
  let receiver: OtlpReceiver;
  let provider: TracerProvider;
  let tracer: Tracer;
  let setups: Setup[] = [];
  let services: Service[] = [];
  const clients: BffClient[] = [];

  beforeAll(async () => {
    receiver = await startOtlpReceiver();
    setups = await Promise.all([POSTGRES.open(), POCKETBASE.open()]);
    const env = {
      ...{ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_BSP_SCHEDULE_DELAY: '100' },
      ...{ OTEL_METRICS_EXPORTER: 'none', OTEL_LOGS_EXPORTER: 'none', ASSET_LOG_LEVEL: 'debug' },
    };
    services = await Promise.all(setups.map((setup) => startService({ ...setup.env, ...env })));
    provider = new TracerProvider({
      resource: resourceFromAttributes({ 'service.name': 'some-bff' }),
      spanProcessors: [
        new SimpleSpanProcessor({ exporter: new OTLPTraceExporter({ url: `${receiver.url}/v1/traces` }) }),
      ],
    });
    context.setGlobalContextManager(new AsyncContexts());
    tracer = provider.getTracer('test');
  });

  afterAll(async () => {
    for (const client of clients) client.close();
    await Promise.all(services.map((service) => service.dispose()));
    await Promise.all(setups.map((setup) => setup.dispose()));
    await provider?.shutdown();
    context.disable();
    receiver?.close();
  });

  const bff = (service: Service, transport: 'grpc' | 'connect') => {
    const client = createBffClient({ baseUrl: service.url, transport });
    clients.push(client);
    return client;
  };

  /** Runs `work` in a span of the BFF; returns the id of the trace. */
  const inSpan = async (work: () => Promise<unknown>) => {
    const span: Span = tracer.startSpan('POST /avatar');
    await context.with(trace.setSpan(ROOT_CONTEXT, span), work);
    span.end();
    return span.spanContext().traceId;
  };

  const spansOf = (traceId: string) => receiver.spans.filter((span) => span.traceId === traceId);

  /** Names from the root of the trace to a span. */
  const pathTo = (span: ReceivedSpan): string[] => {
    const parent = receiver.spans.find(({ spanId }) => spanId === span.parentSpanId);
    return [...(parent ? pathTo(parent) : []), span.name];
  };

  const pathsOf = (traceId: string) => spansOf(traceId).map((span) => pathTo(span).join(' > '));

  it.each([
    ['grpc', 'postgresql INSERT', 'catalog.create'],
    ['connect', 'postgresql INSERT', 'catalog.create'],
    ['grpc', 'pocketbase POST /api/batch', 'catalog.create'],
  ] as const)('leads from the BFF by %s to S3 and to %s', async (transport, statement, operation) => {
    const service = services[statement.startsWith('pocketbase') ? 1 : 0]!;
    const client = bff(service, transport);
    const small = await inSpan(() => client.uploadFile(randomBytes(20_000), { name: 'a.bin' }));
    const large = await inSpan(() => client.uploadFile(randomBytes(9_000_000), { name: 'b.bin' }));
    const rpc = 'POST /avatar > asset.v1.AssetService/Upload > useCase.upload';
    await eventually(() => {
      expect(pathsOf(small)).toEqual(
        expect.arrayContaining([
          rpc,
          `${rpc} > store.put > s3 PutObject`,
          `${rpc} > ${operation} > ${statement}`,
        ]),
      );
      expect(pathsOf(large)).toEqual(
        expect.arrayContaining([
          `${rpc} > store.startMultipart > s3 CreateMultipartUpload`,
          `${rpc} > store.putPart > s3 UploadPart`,
          `${rpc} > store.completeMultipart > s3 CompleteMultipartUpload`,
          `${rpc} > ${operation} > ${statement}`,
        ]),
      );
    });
    const spans = [...spansOf(small), ...spansOf(large)];
    expect(new Set(spans.map((span) => span.service))).toEqual(new Set(['some-bff', 'asset-service']));
    expect(spans.filter(({ status }) => status === 2)).toEqual([]);
    expect(spans.every(({ durationNs }) => durationNs >= 0n)).toBe(true);
    // Nothing tells where bytes lie, or what was stored.
    expect(JSON.stringify(spans.map(({ attributes }) => attributes))).not.toMatch(/assets\/|a\.bin|b\.bin/);
    const line = service.logLines().find(({ msg, trace_id }) => msg === 'call' && trace_id === small);
    expect(line).toMatchObject({ rpc: 'Upload', code: 'OK' });
    const driverLine = service
      .logLines()
      .find(({ operation: name, trace_id }) => name === 'store.put' && trace_id === small);
    expect(driverLine).toBeDefined();
  });

  it('follows a download, whose messages are made when they are asked for', async () => {
    const client = bff(services[0]!, 'grpc');
    const { id } = await client.uploadFile(randomBytes(20_000), { name: 'c.bin' });
    const traceId = await inSpan(() => client.downloadBytes(id));
    const rpc = 'POST /avatar > asset.v1.AssetService/DownloadFile > useCase.downloadFile';
    await eventually(() => {
      expect(pathsOf(traceId)).toEqual(
        expect.arrayContaining([
          `${rpc} > store.read > s3 GetObject`,
          `${rpc} > catalog.get > postgresql SELECT`,
        ]),
      );
    });
  });

  it('is told with an error and in the log, also of a call that is refused unread', async () => {
    const client = bff(services[0]!, 'grpc');
    let thrown: unknown;
    const traceId = await inSpan(async () => {
      thrown = await client.getFile('a'.repeat(15)).catch((error: unknown) => error);
    });
    expect((thrown as AssetClientError).metadata['trace_id']).toBe(traceId);
    const lone = clientOf(services[0]!.url);
    const parent = randomBytes(16).toString('hex');
    const headers = { traceparent: `00-${parent}-${randomBytes(8).toString('hex')}-00` };
    const refused = await failureOf(lone.getFile({ fileId: 'a'.repeat(15) }, { headers }));
    expect(refused.metadata['trace_id']).toBe(parent);
    const unread = await fetch(`${services[0]!.url}/asset.v1.AssetService/GetFile`, {
      ...{ method: 'POST', body: '{', headers: { ...headers, 'content-type': 'application/json' } },
    });
    expect(JSON.stringify(await unread.json())).toContain('trace_id');
    await eventually(() => {
      const lines = services[0]!.logLines().filter(({ trace_id }) => trace_id === parent);
      expect(lines.filter(({ msg }) => msg === 'call')).toHaveLength(2);
      expect(spansOf(traceId).map(({ name }) => name)).toContain('asset.v1.AssetService/GetFile');
    });
    // The caller decided that its trace is not sampled.
    expect(spansOf(parent)).toEqual([]);
  });

  describe('of a call that is refused', () => {
    let issuer: Issuer;
    let guarded: Service;
    beforeAll(async () => {
      issuer = await startIssuer();
      guarded = await startService({
        ...{ ASSET_AUTH: 'oidc', ASSET_OIDC_ISSUER: issuer.url, ASSET_OIDC_AUDIENCE: AUDIENCE },
        ...{
          OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${receiver.url}/v1/traces`,
          OTEL_BSP_SCHEDULE_DELAY: '100',
        },
        ASSET_LIMIT_READS: '1',
      });
    });
    afterAll(async () => {
      await guarded?.dispose();
      await issuer?.dispose();
    });

    const METHOD = 'asset.v1.AssetService/GetFile';
    const ID = 'c'.repeat(15);
    const bearer = async (sub: string, scope: string) => ({
      authorization: `Bearer ${await issuer.token({ azp: 'worker', sub, scope })}`,
    });

    describe.each(['gRPC', 'Connect over HTTP/1.1'])('over %s', (transport) => {
      const ask = (fileId: string, headers: Record<string, string>) =>
        failureOf(
          createClient(AssetService, TRANSPORTS[transport]!(guarded.url)).getFile({ fileId }, { headers }),
        );

      it.each([
        ['CREDENTIALS_MISSING', 'UNAUTHENTICATED', async () => ({}), ID],
        ['CREDENTIALS_INVALID', 'UNAUTHENTICATED', async () => ({ authorization: 'Bearer x' }), ID],
        ['PERMISSION_DENIED', 'PERMISSION_DENIED', () => bearer(`nobody-${transport}`, 'x'), ID],
        ['FIELD_INVALID', 'INVALID_ARGUMENT', () => bearer(`wrong-${transport}`, 'asset:read'), ''],
        ['RATE_LIMITED', 'RESOURCE_EXHAUSTED', () => bearer(`hasty-${transport}`, 'asset:read'), ID],
      ])('is a span with %s, below that of the caller', async (reason, code, headers, fileId) => {
        const [caller, position] = [randomBytes(16).toString('hex'), randomBytes(8).toString('hex')];
        const sent = { ...(await headers()), traceparent: `00-${caller}-${position}-01` };
        let failure = await ask(fileId, sent);
        // The first calls of a hasty caller are answered.
        while (reason === 'RATE_LIMITED' && failure.reason !== reason) failure = await ask(fileId, sent);
        expect(failure).toMatchObject({ reason, code });
        expect(failure.metadata['trace_id']).toBe(caller);
        await eventually(() => {
          const lines = guarded.logLines().filter(({ trace_id }) => trace_id === caller);
          expect(lines.map((line) => line['reason'])).toContain(reason);
        });
        const span = await eventually(() => {
          const found = spansOf(caller).find(
            ({ name, attributes }) => name === METHOD && attributes['error.type'] === reason,
          );
          expect(found).toBeDefined();
          return found!;
        });
        expect(span).toMatchObject({ name: METHOD, parentSpanId: position, status: 2 });
        expect(span.attributes['rpc.response.status_code']).toBe(code);
      });

      it('begins a trace, whose id the caller gets, if the caller has none', async () => {
        const { metadata } = await ask(ID, {});
        expect(metadata['trace_id']).toMatch(/^[0-9a-f]{32}$/);
        await eventually(() => expect(pathsOf(metadata['trace_id']!)).toEqual([METHOD]));
      });

      it('is no span if the caller does not sample its trace', async () => {
        const caller = randomBytes(16).toString('hex');
        const unsampled = { traceparent: `00-${caller}-${randomBytes(8).toString('hex')}-00` };
        expect((await ask(ID, unsampled)).metadata['trace_id']).toBe(caller);
        const after = (await ask(ID, {})).metadata['trace_id']!;
        await eventually(() => expect(spansOf(after)).toHaveLength(1));
        expect(spansOf(caller)).toEqual([]);
      });
    });

    it('is a span if its message cannot be read', async () => {
      const caller = randomBytes(16).toString('hex');
      const headers = {
        ...(await bearer('unreadable', 'asset:read')),
        ...{ 'content-type': 'application/json', traceparent: `00-${caller}-${'1'.repeat(16)}-01` },
      };
      await fetch(`${guarded.url}/${METHOD}`, { method: 'POST', body: '{', headers });
      await eventually(() => {
        expect(spansOf(caller)).toMatchObject([
          { name: METHOD, attributes: { 'rpc.response.status_code': 'INVALID_ARGUMENT' }, status: 2 },
        ]);
      });
    });
  });

  it('begins with the call if the caller has none, and is ignored if its header is none', async () => {
    const client = clientOf(services[0]!.url);
    const sent = ['', '00-short-01', `00-${'0'.repeat(32)}-${'1'.repeat(16)}-01`, 'x'.repeat(5_000)];
    for (const traceparent of sent) {
      const headers = { traceparent };
      const failure = await failureOf(client.getFile({ fileId: 'b'.repeat(15) }, { headers }));
      const { trace_id: traceId = '' } = failure.metadata;
      expect(traceId).toMatch(/^(?!0+$)[0-9a-f]{32}$/);
      await eventually(() =>
        expect(spansOf(traceId).find(({ name }) => name.endsWith('/GetFile'))?.parentSpanId).toBe(''),
      );
    }
    // Only traces: metrics and logs are turned off.
    expect(receiver.paths).toEqual(new Set(['/v1/traces']));
  });

  it('has no cost and no id where nothing is exported', async () => {
    const quiet = await startService();
    try {
      const failure = await failureOf(clientOf(quiet.url).getFile({ fileId: 'b'.repeat(15) }));
      expect(failure.metadata['trace_id']).toBeUndefined();
      expect(quiet.logLines().some((line) => 'trace_id' in line)).toBe(false);
    } finally {
      await quiet.dispose();
    }
  });
});
