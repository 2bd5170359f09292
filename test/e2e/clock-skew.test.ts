import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { UploadTransport } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { eventually } from '../support/eventually.ts';
import { startService, type Service } from '../support/service.ts';
import { clientOf, randomContent, upload, type AssetClient } from './support/calls.ts';
import { POSTGRES, type Setup } from './support/setups.ts';

const MINUTE_MS = 60_000;

/** Shifts the clock of a Node.js process, as a machine whose clock is wrong would have it. */
function shiftedBy(ms: number): string {
  const code = `const Real = Date; const now = () => Real.now() + ${ms};
    globalThis.Date = class extends Real { constructor(...args) { super(...(args.length ? args : [now()])); }
    static now() { return now(); } };`;
  return `--import data:text/javascript,${encodeURIComponent(code)}`;
}

describe.each([
  ['30 minutes behind', -30 * MINUTE_MS],
  ['30 minutes ahead', 30 * MINUTE_MS],
  // Less than the SDK corrects by itself, and more than a short URL lives.
  ['2 minutes behind', -2 * MINUTE_MS],
])('a service whose clock is %s', (_, skewMs) => {
  let setup: Setup;
  let service: Service;
  let client: AssetClient;
  const content = randomContent(1000);

  beforeAll(async () => {
    setup = await POSTGRES.open();
    service = await startService({ ...setup.env, NODE_OPTIONS: shiftedBy(skewMs) });
    client = clientOf(service.url);
  });

  afterAll(async () => {
    await service?.dispose();
    await setup?.dispose();
  });

  it('gives URLs that work, and says when they really end', async () => {
    const { id } = await upload(client, content, {});
    const before = Date.now();
    const ttl = { seconds: 60n };
    const { url, expireTime } = await client.getFileUrl({ source: { case: 'fileId', value: id }, ttl });
    const answer = await fetch(url);
    expect(answer.status).toBe(200);
    expect(Buffer.from(await answer.arrayBuffer()).equals(content)).toBe(true);
    const left = timestampDate(expireTime!).getTime() - before;
    expect(left).toBeGreaterThan(25_000);
    expect(left).toBeLessThan(70_000);
    const again = await client.getFileUrl({ source: { case: 'fileId', value: id }, ttl: { seconds: 3600n } });
    const same = await client.getFileUrl({ source: { case: 'fileId', value: id }, ttl: { seconds: 3600n } });
    expect(same.url).toBe(again.url);
  });

  it('gives URLs of parts that work', async () => {
    const started = await client.startUpload({
      uploadSpec: { file: {}, sizeBytes: BigInt(content.length) },
      transport: UploadTransport.DIRECT,
    });
    const { parts, expireTime } = await client.signUploadParts({
      uploadId: started.uploadId,
      partNumbers: [1],
    });
    const answer = await fetch(parts[0]!.url, { method: 'PUT', body: content, headers: parts[0]!.headers });
    expect(answer.status).toBe(200);
    expect(timestampDate(expireTime!).getTime()).toBeGreaterThan(Date.now());
    const { file } = await client.completeUpload({ uploadId: started.uploadId });
    expect(file?.sizeBytes).toBe(BigInt(content.length));
  });

  it('tells its operator', async () => {
    await eventually(() => {
      const line = service.logLines().find(({ msg }) => /clock/.test(String(msg)));
      expect(line).toMatchObject({ level: 40, offsetSeconds: expect.any(Number) });
      expect(Math.abs((line!['offsetSeconds'] as number) * 1000 + skewMs)).toBeLessThan(5_000);
    });
  });
});
