import { type CORSRule, PutBucketCorsCommand, S3Client } from '@aws-sdk/client-s3';
import { createBffClient, type BffClient } from '@asset-service/bff';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { chromiumProgram, startChromium } from '../support/chromium.ts';
import { eventually } from '../support/eventually.ts';
import { ROOT } from '../support/install.ts';
import { AUDIENCE, startIssuer, type Issuer } from '../support/issuer.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { createBucket, type TestBucket } from '../support/shared-servers.ts';
import { startService, type Service } from '../support/service.ts';
import { startDirectPage, type DirectPage } from './support/direct-page.ts';
import { blobsIn, s3Env } from './support/setups.ts';

const MiB = 2 ** 20;
const chromium = await chromiumProgram();
const found = 'program' in chromium ? chromium.program : undefined;
const title = 'direct uploads from Chromium to SeaweedFS';

/** What an upload in the page answers. */
interface Answer {
  readonly id?: string;
  readonly code?: string;
  readonly reason?: string;
}

/** The page's globals. */
interface Product {
  readonly product: {
    readonly progress: readonly number[];
    upload(options: object): Promise<Answer>;
    /** Uploads by the code in docs/browser.md and returns what it shows. */
    documented(): Promise<readonly string[]>;
    abort(): void;
  };
}

(found ? describe : describe.skip)(found ? title : `${title} (${String(Object.values(chromium)[0])})`, () => {
  let bucket: TestBucket;
  let service: Service;
  let issuer: Issuer;
  let client: BffClient;
  let product: DirectPage;
  let browser: Browser;
  let page: Page;
  let dir: string;
  /** Numbers of the parts that the page has begun to send. */
  let puts: number[];

  beforeAll(async () => {
    bucket = await createBucket();
    dir = await makeDir('browser');
    const policies = join(dir, 'policies.json');
    const usages = { image: { contentTypes: ['image/*'] }, small: { maxSizeBytes: MiB } };
    await writeFile(policies, JSON.stringify({ usages, default: {} }));
    issuer = await startIssuer();
    service = await startService({
      ...s3Env(bucket),
      ...{ ASSET_AUTH: 'oidc', ASSET_OIDC_ISSUER: issuer.url, ASSET_OIDC_AUDIENCE: AUDIENCE },
      ASSET_POLICY_FILE: policies,
    });
    const serviceToken = (scope: string) => issuer.token({ sub: 'bff', azp: 'bff', scope });
    client = createBffClient({ baseUrl: service.url, token: await serviceToken('asset:read') });
    product = await startDirectPage(service.url, await serviceToken('asset:act-for-user'));
    await allowPage(bucket, new URL(product.url).origin);
    browser = await startChromium(found!);
    const context = await browser.newContext();
    const cookie = (name: string, value: string) => ({ name, value, url: product.url });
    await context.addCookies([cookie('user', 'ann'), cookie('token', await issuer.token({ sub: 'ann' }))]);
    page = await context.newPage();
    page.on('request', (request) => {
      if (request.method() !== 'PUT') return;
      puts.push(Number(new URL(request.url()).searchParams.get('partNumber')));
    });
  }, 120_000);

  afterAll(async () => {
    await browser?.close();
    client?.close();
    await product?.close();
    await service?.dispose();
    await issuer?.dispose();
    if (dir) await removeDir(dir);
  });

  /** Opens the page and chooses a file in it. */
  async function choose(name: string, content: Buffer): Promise<void> {
    const path = join(dir, name);
    await writeFile(path, content);
    await open(path);
  }

  async function open(path: string): Promise<void> {
    puts = [];
    await page.goto(product.url);
    await page.waitForFunction('window.product');
    await page.setInputFiles('input', path);
  }

  const upload = (options: object = {}) =>
    page.evaluate((given) => (globalThis as unknown as Product).product.upload(given), options);

  const stored = async ({ id }: Answer) => (await client.downloadBytes(id!)).bytes;

  const progress = () => page.evaluate(() => (globalThis as unknown as Product).product.progress);

  it.each([
    ['through the BFF', undefined],
    ["with the user's token", 'ann'],
  ])('send the parts to the store %s', async (_way, user) => {
    const content = randomBytes(20 * MiB + 7);
    await choose(`Grüße-${user}.bin`, content);
    const token = user && (await issuer.token({ sub: user }));
    const answer = await upload({ ...(token && { token }), owner: 'ann' });
    expect(answer).toMatchObject({ name: `Grüße-${user}.bin`, owner: 'ann' });
    expect([...puts].sort()).toEqual([1, 2, 3]);
    expect(content.equals(await stored(answer))).toBe(true);
    const seen = await progress();
    expect(seen[0]).toBe(0);
    expect(seen.at(-1)).toBe(content.length);
    expect(seen.length).toBeGreaterThan(4);
    // The same file again is the same, and nothing is sent.
    puts = [];
    expect(await upload({ ...(token && { token }), owner: 'ann' })).toMatchObject({ id: answer.id });
    expect(puts).toEqual([]);
  });

  it('may be empty', async () => {
    await choose('empty.txt', Buffer.alloc(0));
    expect(await stored(await upload())).toHaveLength(0);
  });

  it('cannot be given to somebody else through a BFF', async () => {
    await choose('owner.txt', Buffer.from('mine'));
    expect(await upload({ owner: 'bob' })).toMatchObject({ owner: 'ann' });
  });

  /** Holds back the parts with these numbers. */
  async function holdParts(numbers: readonly number[]): Promise<() => Promise<void>> {
    const isPart = (url: URL) => numbers.includes(Number(url.searchParams.get('partNumber')));
    await page.route(isPart, () => undefined);
    return () => page.unroute(isPart);
  }

  it('remove what came when they are aborted', async () => {
    await choose('aborted.bin', randomBytes(20 * MiB));
    const before = await blobsIn(bucket);
    const release = await holdParts([3]);
    const running = upload();
    await eventually(async () => expect((await blobsIn(bucket)).length).toBe(before.length + 1));
    await eventually(async () => expect(Math.max(...(await progress()))).toBeGreaterThanOrEqual(16 * MiB));
    await page.evaluate(() => (globalThis as unknown as Product).product.abort());
    expect(await running).toMatchObject({ code: 'aborted_by_caller' });
    expect(await blobsIn(bucket)).toEqual(before);
    await release();
  });

  it('go on after a pause and a reload with the parts that are missing', async () => {
    const content = randomBytes(20 * MiB);
    await choose('paused.bin', content);
    const release = await holdParts([2]);
    const running = upload({ keepOnAbort: true });
    await eventually(async () => expect(Math.max(...(await progress()))).toBeGreaterThanOrEqual(12 * MiB));
    await page.evaluate(() => (globalThis as unknown as Product).product.abort());
    await running;
    await release();
    await open(join(dir, 'paused.bin'));
    const answer = await upload();
    expect(puts).toEqual([2]);
    expect((await progress())[0]).toBe(12 * MiB);
    expect(content.equals(await stored(answer))).toBe(true);
  });

  it('try a part again, with a new URL', async () => {
    const content = randomBytes(9 * MiB);
    await choose('flaky.bin', content);
    const failures = [403, 500];
    await page.route(
      (url) => url.searchParams.get('partNumber') === '1',
      async (route) => {
        const status = route.request().method() === 'PUT' ? failures.shift() : undefined;
        if (status === undefined) return route.fallback();
        const headers = { 'access-control-allow-origin': '*' };
        return status === 500 ? route.abort() : route.fulfill({ status, headers });
      },
    );
    const answer = await upload();
    await page.unrouteAll();
    expect(failures).toEqual([]);
    expect(content.equals(await stored(answer))).toBe(true);
  });

  it.each([
    ['a type that is not allowed', 'note.txt', { usage: 'image' }, 'CONTENT_TYPE_NOT_ALLOWED'],
    ['bytes of another type', 'liar.png', { usage: 'image' }, 'CONTENT_TYPE_MISMATCH'],
    ['too many bytes', 'large.bin', { usage: 'small' }, 'FILE_TOO_LARGE'],
    ['another hash than the page computed', 'wrong.bin', { wrong: true }, 'CHECKSUM_MISMATCH'],
  ])('are refused for %s, and leave nothing', async (_what, name, options, reason) => {
    const before = await blobsIn(bucket);
    await choose(name, Buffer.concat([Buffer.from('%PDF-1.7 '), randomBytes(2 * MiB)]));
    expect(await upload(options)).toMatchObject({ code: 'invalid_argument', reason });
    expect(await blobsIn(bucket)).toEqual(before);
  });

  it('do what docs/browser.md shows', async () => {
    const content = randomBytes(3 * MiB);
    await choose('documented.bin', content);
    const shown = await page.evaluate(() => (globalThis as unknown as Product).product.documented());
    expect(shown[0]).toBe('0 %');
    expect(shown.at(-2)).toBe('100 %');
    const id = /^stored as ([a-z0-9]{15})$/.exec(shown.at(-1)!)![1]!;
    expect(content.equals(await stored({ id }))).toBe(true);
  });

  it('are refused without a session', async () => {
    await page.context().clearCookies();
    await choose('nobody.txt', Buffer.from('x'));
    expect(await upload()).toMatchObject({ code: 'unauthenticated' });
  });
});

/** Sets the CORS rule in docs/browser.md, for a page of this origin. */
async function allowPage({ bucket, ...address }: TestBucket, origin: string): Promise<void> {
  const text = await readFile(join(ROOT, 'docs', 'browser.md'), 'utf8');
  const [, json] = /```json\n(.*?)```/s.exec(text)!;
  const { CORSRules } = JSON.parse(json!) as { CORSRules: CORSRule[] };
  const rules = CORSRules.map((rule) => ({ ...rule, AllowedOrigins: [origin] }));
  const client = new S3Client({ ...address, forcePathStyle: true, credentials: address });
  await client.send(new PutBucketCorsCommand({ Bucket: bucket, CORSConfiguration: { CORSRules: rules } }));
  client.destroy();
}
