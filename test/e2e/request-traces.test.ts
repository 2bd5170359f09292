import { UploadTransport } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rm } from 'node:fs/promises';
import http2 from 'node:http2';
import { join } from 'node:path';
import { eventually } from '../support/eventually.ts';
import { scrape, sumOf } from '../support/metrics.ts';
import { startOtlpReceiver, type OtlpReceiver } from '../support/otlp-receiver.ts';
import { freePort } from '../support/ports.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';
import { clientOf, randomContent, upload, urlOf, type AssetClient } from './support/calls.ts';

const PART_BYTES = 1_000;
const DURATION = 'http_server_request_duration_seconds';
const ROUTE = '/blobs/{token}';

describe('a request of a signed URL', () => {
  let dir: string;
  let receiver: OtlpReceiver;
  let metricsPort: number;
  let service: Service;
  let client: AssetClient;
  const content = randomContent(5_000);

  beforeAll(async () => {
    [dir, receiver, metricsPort] = await Promise.all([
      makeDir('request-traces'),
      startOtlpReceiver(),
      freePort(),
    ]);
    service = await startService({
      ASSET_DATA_DIR: join(dir, 'data'),
      ASSET_METRICS_LISTEN: `127.0.0.1:${metricsPort}`,
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${receiver.url}/v1/traces`,
      OTEL_BSP_SCHEDULE_DELAY: '100',
    });
    client = clientOf(service.url);
  });

  afterAll(async () => {
    await service?.dispose();
    receiver?.close();
    if (dir) await removeDir(dir);
  });

  /** A position in the trace of some caller. */
  const caller = (flags = '01') => {
    const [traceId, spanId] = [randomBytes(16).toString('hex'), randomBytes(8).toString('hex')];
    return { traceId, spanId, headers: { traceparent: `00-${traceId}-${spanId}-${flags}` } };
  };

  const spansOf = (traceId: string) => receiver.spans.filter((span) => span.traceId === traceId);

  /** The span of the request of this trace, and the names of its children. */
  const requestOf = ({ traceId, spanId }: ReturnType<typeof caller>) =>
    eventually(() => {
      const spans = spansOf(traceId);
      const span = spans.find(({ parentSpanId }) => parentSpanId === spanId);
      expect(span).toBeDefined();
      const children = spans.filter(({ parentSpanId }) => parentSpanId === span!.spanId);
      return { ...span!, children: children.map(({ name }) => name) };
    });

  const partUrl = async () => {
    const { uploadId } = await client.startUpload({
      uploadSpec: { file: { name: 'direct.bin' }, sizeBytes: BigInt(PART_BYTES) },
      transport: UploadTransport.DIRECT,
    });
    return (await client.signUploadParts({ uploadId, partNumbers: [1] })).parts[0]!.url;
  };

  const counted = async (...labels: string[]) =>
    sumOf(await scrape(metricsPort), DURATION, '_count', ...labels);

  it.each(['GET', 'HEAD', 'PUT'])(
    '%s is a span below that of the caller, with those of the store',
    async (method) => {
      const url =
        method === 'PUT' ? await partUrl() : await urlOf(client, (await upload(client, content)).id);
      const before = await counted(`http_request_method="${method}"`);
      const from = caller();
      const body = method === 'PUT' ? randomContent(PART_BYTES) : null;
      const response = await fetch(url, { method, headers: from.headers, body });
      expect(response.status).toBe(200);
      expect((await response.arrayBuffer()).byteLength).toBe(method === 'GET' ? content.length : 0);
      const { name, status, attributes, children } = await requestOf(from);
      expect({ name, status, attributes }).toEqual({
        name: `${method} ${ROUTE}`,
        status: 0,
        attributes: {
          'http.request.method': method,
          'http.response.status_code': 200,
          'http.route': ROUTE,
          'network.protocol.version': '1.1',
          'url.path': ROUTE,
          'url.scheme': 'http',
        },
      });
      const read = ['store.stat', 'store.headersOf', ...(method === 'GET' ? ['store.read'] : [])];
      expect(children).toEqual(method === 'PUT' ? ['store.putPart'] : read);
      // Who has the token, or the id of the grant, may read the file or find who did.
      const { pathname, search } = new URL(url);
      const told = JSON.stringify(
        spansOf(from.traceId).map(({ name: span, attributes: all }) => [span, all]),
      );
      for (const secret of [pathname.split('/').at(-1)!, search]) expect(told).not.toContain(secret);
      const line = service.logLines().find(({ trace_id }) => trace_id === from.traceId);
      expect(line).toMatchObject({ msg: 'blob', method, status: 200 });
      const labels = [`http_request_method="${method}"`, `http_route="${ROUTE}"`, 'status_code="200"'];
      await eventually(async () => expect(await counted(...labels)).toBe(before + 1));
    },
  );

  it('counts the bytes of files that it sends and takes', async () => {
    const bytes = async (direction: string) =>
      sumOf(await scrape(metricsPort), 'asset_content_bytes_total', `"${direction}"`);
    const url = await urlOf(client, (await upload(client, content)).id);
    const [sent, received] = [await bytes('sent'), await bytes('received')];
    await (await fetch(url)).arrayBuffer();
    await (await fetch(url, { headers: { range: 'bytes=0-9' } })).arrayBuffer();
    await fetch(await partUrl(), { method: 'PUT', body: randomContent(PART_BYTES) });
    expect(await bytes('sent')).toBe(sent + content.length + 10);
    expect(await bytes('received')).toBe(received + PART_BYTES);
  });

  it('is a span over HTTP/2 too', async () => {
    const url = new URL(await urlOf(client, (await upload(client, content)).id));
    const from = caller();
    const session = http2.connect(url.origin);
    const stream = session.request({ ':path': url.pathname + url.search, ...from.headers });
    for await (const chunk of stream) void chunk;
    session.close();
    expect(await requestOf(from)).toMatchObject({
      name: `GET ${ROUTE}`,
      attributes: { 'network.protocol.version': '2.0', 'http.response.status_code': 200 },
    });
  });

  it.each([
    ['tampered with', 403, ROUTE, (url: string) => `${url}0`, 'GET'],
    ['asked for with another method', 405, ROUTE, (url: string) => url, 'PATCH'],
    ['none of the service', 404, undefined, (url: string) => `${new URL(url).origin}/secret?x=y`, 'GET'],
  ])('is no error if the URL is %s', async (_, status, route, change, method) => {
    const url = change(await urlOf(client, (await upload(client, content)).id));
    const from = caller();
    expect((await fetch(url, { method, headers: from.headers })).status).toBe(status);
    const span = await requestOf(from);
    expect(span).toMatchObject({ name: route ? `${method} ${route}` : method, status: 0, children: [] });
    expect(span.attributes).toMatchObject({ 'http.response.status_code': status });
    expect(span.attributes['http.route']).toBe(route);
    expect(JSON.stringify(span.attributes)).not.toMatch(/secret|x=y|grant/);
  });

  it('is no span if the caller does not sample its trace, nor is anything below it', async () => {
    const url = await urlOf(client, (await upload(client, content)).id);
    const [unsampled, sampled] = [caller('00'), caller()];
    for (const { headers } of [unsampled, sampled]) await (await fetch(url, { headers })).arrayBuffer();
    await requestOf(sampled);
    expect(spansOf(unsampled.traceId)).toEqual([]);
    const line = service.logLines().find(({ trace_id }) => trace_id === unsampled.traceId);
    expect(line).toMatchObject({ msg: 'blob', status: 200 });
  });

  it('is an error if the file cannot be read, and is none if the caller leaves', async () => {
    const large = await urlOf(client, (await upload(client, randomContent(8_000_000))).id);
    const leaving = caller();
    const stop = new AbortController();
    const response = await fetch(large, { headers: leaving.headers, signal: stop.signal });
    await response.body!.getReader().read();
    stop.abort();
    const left = await requestOf(leaving);
    expect(left).toMatchObject({ status: 0, attributes: { 'error.type': 'aborted' } });

    const { id } = await upload(client, content);
    const url = await urlOf(client, id);
    const root = join(dir, 'data');
    const files = (await readdir(root, { recursive: true })).filter((path) => path.includes(id));
    const path = join(root, files.at(-1)!);
    // A directory in place of the file: its size can be read, its bytes cannot.
    await rm(path, { recursive: true });
    await mkdir(path);
    const broken = caller();
    await fetch(url, { headers: broken.headers })
      .then((answer) => answer.arrayBuffer())
      .catch(() => undefined);
    const span = await requestOf(broken);
    expect(span.status).toBe(2);
    expect(span.attributes['error.type']).toBeTruthy();
    await eventually(async () =>
      expect(
        await counted('http_request_method="GET"', `error_type="${String(span.attributes['error.type'])}"`),
      ).toBe(1),
    );
  });
});
