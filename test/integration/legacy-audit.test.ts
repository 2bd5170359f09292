import { DeleteObjectCommand, PutBucketPolicyCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { withOldSystem } from '../../src/app/legacy.ts';
import { loadConfig } from '../../src/config/config.ts';
import { audit, type AuditOptions } from '../../src/legacy/audit.ts';
import { problemsOf, type AuditLine, type AuditReport } from '../../src/legacy/audit-report.ts';
import { noteServing } from '../../src/legacy/serving-since.ts';
import { openLog } from '../../src/telemetry/log.ts';
import { runCli } from '../e2e/support/cli.ts';
import { eventually } from '../support/eventually.ts';
import { startFailingProxy, type FailingProxy } from '../support/legacy/failing-proxy.ts';
import { startLegacySystem, type LegacySystem } from '../support/legacy/system.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { migrateCatalog } from '../../src/app/catalog.ts';

const DAMAGES = { missing: 1, 'size-mismatch': 1, 'type-mismatch': 1, 'foreign-link': 1 };

describe('legacy audit', () => {
  let legacy: LegacySystem;
  let proxy: FailingProxy;
  let dir: string;
  let env: Record<string, string>;
  let lines: AuditLine[];
  let whole: number;

  beforeAll(async () => {
    [legacy, dir] = await Promise.all([startLegacySystem({ size: 24 }), makeDir('audit')]);
    proxy = await startFailingProxy(legacy.bucket.endpoint);
    env = { ...legacy.env, ASSET_LEGACY_S3_ENDPOINT: proxy.url };
    await migrateCatalog(loadConfig(env));
    whole = legacy.files.filter(({ damage }) => damage === undefined).length;
  });
  afterAll(async () => {
    await Promise.all([proxy?.close(), legacy?.dispose()]);
    await removeDir(dir);
  });
  beforeEach(() => {
    lines = [];
    proxy.fail = undefined;
  });

  const run = (
    more: Partial<AuditOptions> = {},
    signal = new AbortController().signal,
  ): Promise<AuditReport> =>
    withOldSystem(loadConfig(env), (system) => {
      const begin = async (size: number) => void (lines.length = size);
      const write = async (some: readonly AuditLine[]) => lines.push(...some);
      return audit(system, { begin, write, restart: true, ...more }, signal);
    });

  it('counts every record and every object once, each for what it is', async () => {
    const report = await run();
    expect(report.records).toEqual({ whole, ...DAMAGES });
    const pictures = legacy.files.filter(({ way }) => way === 'pocketbase').length;
    expect(report.objects).toEqual({
      ...{ known: legacy.files.length - 1, thumb: pictures, orphan: 1, 'orphan-thumb': 1 },
    });
    expect(problemsOf(report)).toBe(6);
    expect(lines.filter(({ kind }) => kind === 'file')).toHaveLength(legacy.files.length);
    expect(lines).toContainEqual({ kind: 'file', id: legacy.file('missing').id, status: 'missing' });
    const lost = lines.flatMap((line) => (line.kind === 'object' ? [line.key] : []));
    expect(lost.sort()).toEqual([...legacy.orphans].sort());
    expect(report.lastOldWrite?.time).toMatch(/^20/);
  });

  it('finds out by asking and by trying who can read the bucket, and which rules are open', async () => {
    const { bucket, client } = legacy.bucket;
    const open = await run();
    expect(open.access).toMatchObject({ policy: 'open', anonymousGet: 'open', anonymousList: 'open' });
    expect(open.findings.map(({ text }) => text).join(' ')).toContain('updateRule');
    const policy = { Version: '2012-10-17', Statement: [] as object[] };
    const Statement = [
      {
        Effect: 'Allow',
        Principal: { AWS: ['*'] },
        Action: ['s3:GetObject'],
        Resource: `arn:aws:s3:::${bucket}/*`,
      },
    ];
    const put = (one: object) =>
      client.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy: JSON.stringify(one) }));
    await put({ ...policy, Statement });
    expect((await run()).access).toMatchObject({
      policy: 'open',
      anonymousGet: 'open',
      anonymousList: 'closed',
    });
    await put({ ...policy, Statement: [{ ...Statement[0], Effect: 'Deny', Action: 's3:DeleteBucket' }] });
    expect((await run()).access).toMatchObject({
      policy: 'closed',
      anonymousGet: 'closed',
      anonymousList: 'closed',
    });
  });

  it('says of an object that the store gives no answer about that nothing is known', async () => {
    const { id, key } = legacy.file('without-link');
    for (const status of [500, 503, 403, 0]) {
      proxy.fail = (method, path) => (method === 'HEAD' && path.includes(key) ? status : undefined);
      const { records } = await run();
      expect([status, records]).toEqual([status, { whole: whole - 1, ...DAMAGES, unknown: 1 }]);
      expect(lines).toContainEqual({ kind: 'file', id, status: 'unknown' });
    }
  });

  it('reads all bytes if asked, and names those that contradict a checksum of the store', async () => {
    const changed = legacy.file('without-link');
    proxy.alter = (path, body) => {
      if (!path.includes(changed.key)) return undefined;
      return Buffer.from(body.map((byte, index) => (index === 3 ? byte ^ 1 : byte)));
    };
    const { records } = await run({ full: true });
    expect(records).toEqual({ whole: whole - 1, ...DAMAGES, 'checksum-mismatch': 1 });
    const { id, key } = changed;
    expect(lines).toContainEqual({
      kind: 'file',
      id,
      status: 'checksum-mismatch',
      key,
      why: "the store's md5",
    });
    expect((await run()).records).toEqual({ whole, ...DAMAGES });
    proxy.alter = undefined;
    expect((await run({ full: true })).records).toEqual({ whole, ...DAMAGES });
  });

  it('gives up where the store answers nothing at all, and goes on behind what it had looked at', async () => {
    let pages = 0;
    const interrupted = new AbortController();
    const onProgress = () => (++pages === 2 ? interrupted.abort(new Error('interrupted')) : undefined);
    await expect(run({ pageSize: 10, onProgress }, interrupted.signal)).rejects.toThrow('interrupted');
    expect(lines).toHaveLength(20);
    proxy.fail = (method, path) =>
      method === 'HEAD' && !path.includes('assets/') && path.split('/').length > 2 ? 503 : undefined;
    await expect(run({ pageSize: 10, restart: false })).rejects.toMatchObject({
      reason: 'STORE_UNAVAILABLE',
    });
    proxy.fail = undefined;
    proxy.passed.length = 0;
    const report = await run({ pageSize: 10, restart: false });
    expect(report.resumedFrom).toMatch(/^records \w{15}$/);
    expect(report.records).toEqual({ whole, ...DAMAGES });
    const asked = proxy.passed.filter((one) => one.startsWith('HEAD') && one.split('/').length > 2);
    expect(asked.length).toBeLessThan(legacy.files.length);
    expect(lines.filter(({ kind }) => kind === 'file')).toHaveLength(legacy.files.length);
  });

  it('is run by one process at a time, and goes on with the report that it began', async () => {
    const first = withOldSystem(loadConfig(env), async (system) => {
      const write = async (some: readonly AuditLine[]) => some.length;
      let told = () => {};
      const begun = new Promise<void>((resolve) => (told = resolve));
      let end = () => {};
      const ended = new Promise<void>((resolve) => (end = resolve));
      const begin = () => {
        told();
        return ended;
      };
      const stopped = new AbortController();
      const running = audit(system, { begin, write, restart: true }, stopped.signal);
      await begun;
      await expect(run({ leaseMs: 200 })).rejects.toMatchObject({ reason: 'BUSY' });
      stopped.abort(new Error('interrupted'));
      end();
      await expect(running).rejects.toThrow('interrupted');
    });
    await first;
    // Interrupted behind the records.
    const stopped = new AbortController();
    const onProgress = ({ phase }: { phase: string }) => {
      if (phase === 'objects') stopped.abort(new Error('interrupted'));
    };
    await expect(run({ onProgress }, stopped.signal)).rejects.toThrow('interrupted');
    const path = join(dir, 'other.jsonl');
    const cli = (...args: string[]) =>
      runCli(['legacy', 'audit', '--json', '--report', path, ...args], { cwd: dir, env });
    const other = await cli();
    expect([other.code, other.stderr]).toEqual([1, expect.stringMatching(/--report: .*--restart/)]);
    await expect(readFile(path)).rejects.toThrow('ENOENT');
    expect((await cli('--restart')).stderr).toContain('need attention');
    const missing = join(dir, 'no-such-directory', 'report');
    const unwritable = await runCli(['legacy', 'audit', '--report', missing, '--restart'], { cwd: dir, env });
    expect([unwritable.code, unwritable.stderr]).toEqual([1, expect.stringMatching(/--report: .*ENOENT/)]);
  });

  it('changes nothing in the old system', async () => {
    proxy.passed.length = 0;
    const before = await legacy.admin.collection('files').getFullList({ sort: 'id' });
    await run();
    expect(await legacy.admin.collection('files').getFullList({ sort: 'id' })).toEqual(before);
    expect(proxy.passed.filter((one) => !/^(GET|HEAD) /.test(one))).toEqual([]);
  });

  it('counts what is written past the service since it serves old files', async () => {
    const before = await run();
    expect([before.since, before.recordsPastService, before.objectsPastService]).toEqual([undefined, 0, 0]);
    await withOldSystem(loadConfig(env), ({ catalog }) => noteServing(catalog.legacy, openLog('silent')));
    // Objects have whole seconds.
    await new Promise((resolve) => setTimeout(resolve, 1_000 - (Date.now() % 1_000)));
    const { since } = await run();
    const id = await legacy.bff.write('late.txt', Buffer.from('late'));
    const report = await run();
    expect(report).toMatchObject({ since, recordsPastService: 1, objectsPastService: expect.any(Number) });
    expect(report.lastOldObject! >= since!.slice(0, 19)).toBe(true);
    expect(report.lastOldWrite?.id).toBe(id);
    // PocketBase writes its log every few seconds.
    await eventually(async () => {
      const { stdout } = await runCli(['legacy', 'audit', '--json', '--restart'], { cwd: dir, env });
      const past = (JSON.parse(stdout) as { past_service: object }).past_service;
      const writer = expect.objectContaining({ auth: 'users', method: 'POST', count: 1 });
      expect(past).toMatchObject({ since, records: 1, writers: expect.arrayContaining([writer]) });
    });
    await legacy.admin.collection('files').delete(id);
    await legacy.bucket.client.send(
      new DeleteObjectCommand({ Bucket: legacy.bucket.bucket, Key: `${id}/late.txt` }),
    );
  });

  it('prints a table or JSON at the command line, and a line for each file to a report', async () => {
    const path = join(dir, 'report.jsonl');
    const place = { cwd: dir, env };
    const json = await runCli(['legacy', 'audit', '--json', '--restart', '--report', path], place);
    expect([json.code, json.stderr]).toEqual([1, 'asset-service: 6 files or objects need attention\n']);
    expect(JSON.parse(json.stdout)).toMatchObject({
      problems: 6,
      records: { whole, missing: 1 },
      objects: { orphan: 1 },
    });
    const written = (await readFile(path, 'utf8')).trimEnd().split('\n');
    expect(written).toHaveLength(legacy.files.length + legacy.orphans.length);
    const text = await runCli(['legacy', 'audit'], place);
    expect(text.stdout).toMatch(/^ +1 {2}records without bytes$/m);
    const wrong = await runCli(['legacy', 'audit'], {
      cwd: dir,
      env: { ...env, ASSET_LEGACY_S3_BUCKET: 'no-such-bucket' },
    });
    expect([wrong.code, wrong.stdout]).toEqual([1, '']);
    expect(wrong.stderr).toContain('ASSET_LEGACY_S3_BUCKET');
  });
});
