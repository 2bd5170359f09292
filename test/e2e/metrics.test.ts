import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createClient } from '@connectrpc/connect';
import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { eventually } from '../support/eventually.ts';
import { FLAGS, ROOT } from '../support/install.ts';
import { metricsIn, scrape, sumOf, type Scraped } from '../support/metrics.ts';
import { allRules, dashboardExpressions } from '../support/monitoring.ts';
import { freePort } from '../support/ports.ts';
import { makeDir, removeDir, run } from '../support/process.ts';
import { createDatabase } from '../support/shared-servers.ts';
import { healthOf, startService, type Service } from '../support/service.ts';
import {
  type Bytes,
  clientOf,
  download,
  randomContent,
  spec,
  TRANSPORTS,
  upload,
  urlOf,
  type AssetClient,
} from './support/calls.ts';
import { failureOf } from './support/failures.ts';

const PIXEL: Bytes = new Uint8Array(
  Buffer.from(
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
    'base64',
  ),
);
const OWNER = 'ownerofmetrics0';
const DURATION = 'rpc_server_call_duration_seconds';

describe('the metrics', () => {
  let dir: string;
  let port: number;
  let service: Service;
  let client: AssetClient;
  /** What came to a collector of OpenTelemetry. */
  let collector: Server;
  const collected: { readonly path: string; readonly body: string }[] = [];

  beforeAll(async () => {
    dir = await makeDir('metrics');
    const policies = join(dir, 'policies.json');
    await writeFile(
      policies,
      JSON.stringify({
        usages: { few: { quota: { maxFilesPerOwner: 1 } }, any: { variants: { small: { width: 8 } } } },
      }),
    );
    collector = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        collected.push({ path: request.url ?? '', body: Buffer.concat(chunks).toString() });
        response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
      });
    });
    await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
    port = await freePort();
    service = await startService({
      ...{ ASSET_CATALOG: 'postgres', ASSET_POSTGRES_URL: await createDatabase() },
      ...{ ASSET_METRICS_LISTEN: `127.0.0.1:${port}`, ASSET_POLICY_FILE: policies },
      ...{ ASSET_SWEEP_INTERVAL: '1', ASSET_VERIFY_EVERY: '1', ASSET_HEALTH_INTERVAL: '0.5' },
      OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: `http://127.0.0.1:${(collector.address() as AddressInfo).port}/v1/metrics`,
      OTEL_METRIC_EXPORT_INTERVAL: '500',
    });
    client = clientOf(service.url);
  });

  afterAll(async () => {
    await service?.dispose();
    collector?.close();
    await removeDir(dir);
  });

  it('count calls by RPC and code, on every protocol and also those that no handler sees', async () => {
    const calls = (...labels: string[]) =>
      scrape(port).then((metrics) => sumOf(metrics, DURATION, '_count', ...labels));
    const notFound = () => calls('"asset.v1.AssetService/GetFile"', '"NOT_FOUND"');
    const invalid = () => calls('"asset.v1.AssetService/GetFile"', '"INVALID_ARGUMENT"');
    for (const [at, transport] of Object.values(TRANSPORTS).entries()) {
      const one = createClient(AssetService, transport(service.url));
      expect((await failureOf(one.getFile({ fileId: 'a'.repeat(15) }))).code).toBe('NOT_FOUND');
      await eventually(async () => expect(await notFound()).toBe(at + 1));
    }
    // Connect calls no interceptor for a message that it cannot read.
    const url = `${service.url}/asset.v1.AssetService/GetFile`;
    const headers = { 'content-type': 'application/json' };
    expect((await fetch(url, { method: 'POST', headers, body: '{' })).status).toBe(400);
    await eventually(async () => expect(await invalid()).toBe(1));
    expect(await healthOf(service.url)).toBe('SERVING');
    await eventually(async () =>
      expect(await calls('"grpc.health.v1.Health/Check"', '"OK"')).toBeGreaterThan(0),
    );
    expect(sumOf(await scrape(port), 'asset_rpc_active')).toBe(0);
  });

  it('show an upload while it runs, with its memory and bytes', async () => {
    let more = () => undefined as void;
    const rest = new Promise<void>((resolve) => (more = resolve));
    const content = randomContent(200_000);
    const uploading = client.upload(
      (async function* () {
        yield { ...spec({ usage: 'any' }), data: { content: content.subarray(0, 100_000) } };
        await rest;
        yield { writeOffset: 100_000n, data: { content: content.subarray(100_000) }, finishWrite: true };
      })(),
    );
    await eventually(async () => {
      const metrics = await scrape(port);
      expect(sumOf(metrics, 'asset_uploads_active', 'kind="call"')).toBe(1);
      expect(sumOf(metrics, 'asset_upload_memory_used_bytes')).toBeGreaterThanOrEqual(65_536);
      expect(sumOf(metrics, 'asset_upload_memory_slow')).toBe(1);
      expect(sumOf(metrics, 'asset_rpc_active')).toBe(1);
      expect(sumOf(metrics, 'asset_content_bytes_total', '"received"')).toBe(100_000);
    });
    more();
    const { writeStatus } = await uploading;
    const fileId = writeStatus.case === 'file' ? writeStatus.value.id : '';
    expect((await download(client, fileId)).content).toHaveLength(200_000);
    const metrics = await scrape(port);
    expect(sumOf(metrics, 'asset_uploads_active')).toBe(0);
    expect(sumOf(metrics, 'asset_upload_memory_used_bytes')).toBe(0);
    expect(sumOf(metrics, 'asset_content_bytes_total', '"received"')).toBe(200_000);
    expect(sumOf(metrics, 'asset_content_bytes_total', '"sent"')).toBe(200_000);
  });

  it('are those of docs/metrics.md after a bit of everything, and name no file and no owner', async () => {
    const stop = new AbortController();
    const watching = (async () => {
      for await (const { kind } of client.watchFiles({}, { signal: stop.signal })) void kind;
    })().catch(() => undefined);
    await eventually(async () => expect(sumOf(await scrape(port), 'asset_watches_active')).toBe(1));
    await client.pullEvents({ subscription: 'all' });
    const file = { owner: OWNER, usage: 'few', name: 'name-of-a-file' };
    const first = await upload(client, randomContent(1_000), { file });
    const refused = await failureOf(upload(client, randomContent(1_000), { file }));
    expect(refused.reason).toBe('QUOTA_EXCEEDED');
    await eventually(async () => {
      expect((await client.pullEvents({ subscription: 'all' })).deliveries.length).toBeGreaterThan(0);
    });
    // The smallest image, and one that is none.
    for (const content of [PIXEL, PIXEL.subarray(0, 40)]) {
      const image = await upload(client, content, { file: { usage: 'any', contentType: 'image/png' } });
      const source = { case: 'fileId' as const, value: image.id };
      await client.getFileUrl({ source, variant: 'small' }).catch(() => undefined);
    }
    // A reader of a signed URL that leaves in the middle.
    const large = await upload(client, randomContent(8_000_000), { file: { usage: 'any' } });
    const leave = new AbortController();
    const reading = await fetch(await urlOf(client, large.id), { signal: leave.signal });
    await reading.body!.getReader().read();
    leave.abort();
    const wanted = ['asset_event_age_seconds', 'asset_sweep_backlog', 'asset_move_lag_seconds'];
    const metrics = await eventually(async () => {
      const now = await scrape(port);
      for (const name of wanted) expect(now.get(name)?.values.size ?? 0).toBeGreaterThan(0);
      expect(sumOf(now, 'asset_sweep_runs_total', '"complete"')).toBeGreaterThan(0);
      expect(sumOf(now, 'v8js_gc_duration_seconds', '_count')).toBeGreaterThan(0);
      expect(sumOf(now, 'http_server_request_duration_seconds', '_count', '"aborted"')).toBe(1);
      return now;
    });
    stop.abort();
    await watching;
    expect(sumOf(metrics, 'asset_rpc_errors_total', '"QUOTA_EXCEEDED"')).toBe(1);
    expect(sumOf(metrics, 'asset_variant_duration_seconds', '_count', '"made"')).toBeGreaterThan(0);
    expect(sumOf(metrics, 'asset_variant_duration_seconds', '_count', '"damaged"')).toBeGreaterThan(0);
    expect(sumOf(metrics, 'asset_dependency_up', '"catalog"')).toBe(1);
    expect(sumOf(metrics, 'db_client_connection_max')).toBe(16);
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    for (const word of [OWNER, first.id, 'name-of-a-file']) expect(text).not.toContain(word);
    const documented = rowsOf(await readFile(join(ROOT, 'docs', 'metrics.md'), 'utf8'));
    expect(documented).toEqual([...metrics.values()].map(rowOf).sort());
    const named = [...allRules().map(({ expr }) => expr), ...dashboardExpressions()].flatMap(metricsIn);
    expect(named.length).toBeGreaterThan(50);
    expect([...new Set(named)].filter((name) => !metrics.has(name))).toEqual([]);
  });

  it('count a call once whose caller leaves', async () => {
    const { id } = await upload(client, randomContent(20_000_000), { file: { usage: 'any' } });
    const leave = new AbortController();
    const headers = { 'x-request-id': 'leaves' };
    await (async () => {
      for await (const message of client.downloadFile({ fileId: id }, { signal: leave.signal, headers })) {
        void message;
        leave.abort();
      }
    })().catch(() => undefined);
    const lines = () => service.logLines().filter(({ request_id }) => request_id === 'leaves');
    await eventually(() => expect(lines()).not.toEqual([]));
    // A second line would be there before the answer to this.
    await client.getFile({ fileId: id });
    await eventually(async () => {
      expect(sumOf(await scrape(port), DURATION, '_count', '/DownloadFile"', '"CANCELED"')).toBe(1);
    });
    expect(lines()).toMatchObject([{ rpc: 'DownloadFile', code: 'CANCELED' }]);
  });

  it('are scraped by GET /metrics alone', async () => {
    const status = async (path: string, method = 'GET') =>
      (await fetch(`http://127.0.0.1:${port}${path}`, { method })).status;
    expect(await Promise.all(['/', '/metrics/', '/metricsx', '/debug'].map((path) => status(path)))).toEqual(
      Array(4).fill(404),
    );
    expect([await status('/metrics?name=x'), await status('/metrics', 'POST')]).toEqual([200, 405]);
    expect(await status('/metrics', 'HEAD')).toBe(200);
    expect((await fetch(`${service.url}/metrics`)).status).toBe(404);
  });

  it('go to a collector as well, with the name of the service', async () => {
    const sent = await eventually(() => {
      const last = collected.at(-1);
      expect(last?.body).toContain('"rpc.server.call.duration"');
      return last!;
    });
    expect(sent.path).toBe('/v1/metrics');
    expect(sent.body).toContain('{"key":"service.name","value":{"stringValue":"asset-service"}}');
    expect(new Set(collected.map(({ path }) => path))).toEqual(new Set(['/v1/metrics']));
  });

  it('keep a replica from its start whose port is taken, and name the setting', async () => {
    const env = {
      ...{ ASSET_DATA_DIR: join(dir, 'other'), ASSET_LISTEN: `127.0.0.1:${await freePort()}` },
      ASSET_METRICS_LISTEN: `127.0.0.1:${port}`,
    };
    const args = [...FLAGS, join(ROOT, 'src', 'main.ts'), 'serve'];
    const cause = `ASSET_METRICS_LISTEN: another process listens there already (EADDRINUSE) (it is \\"127.0.0.1:${port}\\")`;
    await expect(run(process.execPath, args, { env })).rejects.toThrow(cause);
  });

  it('do not keep a process alive that cannot start', async () => {
    const env = {
      ...{ ASSET_DATA_DIR: join(dir, 'another'), ASSET_LISTEN: `127.0.0.1:${port}` },
      ASSET_METRICS_LISTEN: `127.0.0.1:${await freePort()}`,
    };
    const args = [...FLAGS, join(ROOT, 'src', 'main.ts'), 'serve'];
    await expect(run(process.execPath, args, { env })).rejects.toThrow(
      'ASSET_LISTEN: another process listens',
    );
  });
});

/** A metric as a row of the table. */
function rowOf({ name, type, labels, help }: Scraped): string {
  return [name, type, labels.join(', '), help].join(' | ');
}

/** The rows of the tables with the same columns. */
function rowsOf(markdown: string): string[] {
  return [...markdown.matchAll(/^\| `(\w+)` +\|(.*)\|$/gm)]
    .map(([, name = '', rest = '']) => {
      const cells = rest.split('|').map((cell) => cell.trim().replaceAll('`', ''));
      return [name, ...cells].join(' | ');
    })
    .sort();
}
