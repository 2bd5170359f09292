import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { buffer } from 'node:stream/consumers';
import { migrateCatalog } from '../../src/app/catalog.ts';
import { withLockableSystem } from '../../src/app/legacy.ts';
import { loadConfig } from '../../src/config/config.ts';
import { blobKey } from '../../src/files/bytes.ts';
import { acknowledge } from '../../src/legacy/backfill-state.ts';
import type { LockableSystem } from '../../src/legacy/lock-journal.ts';
import { clientOf, download, type AssetClient } from '../e2e/support/calls.ts';
import { endOf, startCli, type Ended } from '../e2e/support/cli.ts';
import { eventually } from '../support/eventually.ts';
import { startFailingProxy, type FailingProxy } from '../support/legacy/failing-proxy.ts';
import { startLegacySystem, type LegacyFile, type LegacySystem } from '../support/legacy/system.ts';
import { Traffic } from '../support/legacy/traffic.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { FULL } from './support/report.ts';

const KILLS = FULL ? 10 : 1;
const STORE_DOWN_MS = FULL ? 20_000 : 1_500;
const CATALOG_DOWN_MS = FULL ? 10_000 : 1_500;

/** What happens to a command. */
const TROUBLES = ['kills', '503 of both buckets', 'PocketBase is down', 'Ctrl-C'] as const;
type Trouble = (typeof TROUBLES)[number];

/** A short run tests each step in one kind of trouble, a full run in all. */
const troublesOf = (step: number): readonly Trouble[] =>
  FULL ? TROUBLES : [TROUBLES[step % TROUBLES.length]!];

/** Every step of a move, killed and cut off from its store and catalog at any moment, and repeated until it is done. */
describe('the steps of a move of old files in trouble', () => {
  let legacy: LegacySystem;
  let service: Service;
  let client: AssetClient;
  let traffic: Traffic;
  let store: FailingProxy;
  let catalog: TcpProxy;
  let dir: string;
  let env: Record<string, string>;
  let movable: LegacyFile[];
  /** With the files that the old programs have written before. */
  let movedIds: string[];
  /** The old system before anything was moved. */
  let before: Snapshot;
  /** Requests of each command that was seen to its end. */
  const works = new Map<string, number>();

  beforeAll(async () => {
    [legacy, dir] = await Promise.all([startLegacySystem({ size: FULL ? 300 : 40 }), makeDir('steps')]);
    store = await startFailingProxy(legacy.bucket.endpoint);
    catalog = await startTcpProxy(legacy.pocketbase.url);
    env = {
      ...legacy.env,
      ...{ ASSET_S3_ENDPOINT: store.url, ASSET_POCKETBASE_URL: `http://${catalog.address}` },
    };
    await migrateCatalog(loadConfig(legacy.env));
    movable = legacy.files.filter((file) => file.damage === undefined && !file.hasBrokenRelation);
    service = await startService(legacy.env);
    client = clientOf(service.url);
    traffic = new Traffic(legacy, movable);
    await traffic.stopWriting();
    await traffic.useService(service.url);
    before = await snapshot();
    const known = new Set(legacy.files.map(({ id }) => id));
    movedIds = [
      ...before.records.map(({ id }) => id).filter((id) => !known.has(id)),
      ...movable.map(({ id }) => id),
    ];
  });
  afterAll(async () => {
    await traffic?.stop();
    await service?.dispose();
    await Promise.all([store?.close(), catalog?.close(), legacy?.dispose()]);
    await removeDir(dir);
  });

  const within = <T>(work: (system: LockableSystem) => Promise<T>) =>
    withLockableSystem(loadConfig(legacy.env), work);
  const command = (args: readonly string[]) => startCli(args, { cwd: dir, env });
  const json = (ended: Ended) => JSON.parse(ended.stdout) as Record<string, unknown>;

  /** Removes the lease of a killed command, which the next one would wait for. */
  async function freeLeases(): Promise<void> {
    const leases = legacy.admin.collection('asset_leases');
    for (const { id, name } of await leases.getFullList())
      if (String(name).startsWith('legacy') || String(name).includes('verify'))
        await leases.delete(id).catch(() => undefined);
  }

  /** How much commands have asked of store and catalog so far: about the number of requests. */
  const asked = () => store.passed.length + catalog.bytesFromClients / 700;

  /** Starts a command; `halfway` resolves at a random moment of its work. */
  function start(args: readonly string[]) {
    const key = args.join(' ');
    const from = asked();
    const child = command(args);
    let isOver = false;
    const ended = endOf(child).then((outcome) => {
      isOver = true;
      if (outcome.stdout !== '') works.set(key, asked() - from);
      return outcome;
    });
    const target = from + Math.random() * (works.get(key) ?? 20);
    const halfway = async () => {
      while (!isOver && asked() < target) await sleep(3);
    };
    return { child, ended, halfway, isOver: () => isOver };
  }

  /** Runs a command in trouble, and repeats it until it ends with one of these codes. */
  async function inTrouble(
    trouble: Trouble,
    args: readonly string[],
    codes: readonly number[],
  ): Promise<Ended> {
    const isDone = ({ code, stdout }: Ended) => codes.includes(Number(code)) && stdout !== '';
    if (trouble === 'kills' || trouble === 'Ctrl-C') {
      for (let kill = 0; kill < KILLS; kill++) {
        const { child, ended, halfway } = start(args);
        await halfway();
        child.kill(trouble === 'kills' ? 'SIGKILL' : 'SIGINT');
        note(trouble, args, await ended, codes);
        if (trouble === 'kills') await freeLeases();
      }
    } else {
      const { ended, halfway, isOver } = start(args);
      await halfway();
      if (trouble === 'PocketBase is down') {
        await catalog.cut();
        await sleep(CATALOG_DOWN_MS);
        await catalog.restore();
      } else {
        store.fail = () => 503;
        await sleep(STORE_DOWN_MS);
        store.fail = undefined;
      }
      const was = isOver() ? 'ended in it' : 'outlived it';
      const outcome = await ended;
      note(`${trouble}, ${was}`, args, outcome, codes);
      if (isDone(outcome)) return outcome;
    }
    const last = await start(args).ended;
    note('after it', args, last, codes);
    expect([args, codes.includes(Number(last.code)), last]).toEqual([args, true, last]);
    return last;
  }

  /** A command that did not succeed tells what to do, without a stack. */
  function note(
    what: string,
    args: readonly string[],
    { code, stdout, stderr }: Ended,
    codes: readonly number[],
  ) {
    const line = `${what}: ${args.join(' ')}: ${code}: ${stderr.trim().slice(-600)} | ${stdout.slice(0, 250)}`;
    if (FULL) process.stdout.write(`${line}\n`);
    // SIGINT before the command has begun anything.
    if (code === 'SIGKILL' || (code === 'SIGINT' && stdout + stderr === '')) return;
    expect([line, /^\s+at /m.test(stderr)]).toEqual([line, false]);
    if (what !== 'after it' && !codes.includes(Number(code))) {
      expect(code).toBe(1);
      expect(stderr).toMatch(/again|repeat|goes on|continues/i);
    }
  }

  type Snapshot = Awaited<ReturnType<typeof snapshot>>;

  /** All that the steps change. */
  async function snapshot() {
    const collection = await legacy.admin.collections.getOne('files');
    const records = await legacy.admin.collection('files').getFullList({ sort: 'id' });
    const { createRule, updateRule, deleteRule, listRule, viewRule } = collection;
    return within(async ({ store: blobs, bucketAccess, bucket }) => ({
      rules: { createRule, updateRule, deleteRule, listRule, viewRule },
      fields: collection.fields.map(({ name }) => name),
      protection: collection.fields.filter(({ type }) => type === 'file').map((field) => field['protected']),
      access: [await bucketAccess.read('policy'), await bucketAccess.read('acl')],
      records: records.map(({ id, link, mime, size, sha256, title, file }) => ({
        ...{ id, link, mime, size, sha256, title, file },
      })),
      objects: (await bucket.reader.list('', {})).map(({ key, sizeBytes, etag }) => [key, sizeBytes, etag]),
      blobs: (await blobs.listBlobs({ prefix: 'assets/', limit: 1_000 })).map(({ key }) => key),
    }));
  }

  /** The bytes of every file that can be moved, through the service. */
  async function expectAllBytes(): Promise<void> {
    // Buffer.equals: a comparison by Jest of 12 MiB stops this process for so long that the service ends its connection.
    for (const { id, content } of movable)
      expect([id, (await download(client, id)).content.equals(content)]).toEqual([id, true]);
  }

  const shaOf = (content: Buffer) => createHash('sha256').update(content).digest('hex');

  async function expectMoved(): Promise<void> {
    const now = await snapshot();
    const ids = new Set(movedIds);
    expect(now.blobs.sort()).toEqual(movedIds.map((id) => blobKey(id)).sort());
    await within(async ({ store: blobs }) => {
      for (const { id, content } of movable)
        expect(shaOf(await buffer(await blobs.read(blobKey(id))))).toBe(shaOf(content));
    });
    const wanted = before.records.map((record) =>
      ids.has(record.id)
        ? { id: record.id, title: record.title, file: record.file, link: '', isMoved: true }
        : { id: record.id, title: record.title, file: record.file, link: record.link, isMoved: false },
    );
    expect(
      now.records.map(({ id, title, file, link, sha256 }) => ({
        ...{ id, title, file, link, isMoved: Boolean(sha256) },
      })),
    ).toEqual(wanted);
    expect(now.objects).toEqual(before.objects);
  }

  it('audit: counts the same as an undisturbed one', async () => {
    const run = (...more: string[]) => start(['legacy', 'audit', '--json', ...more]).ended;
    const { records, objects } = json(await run('--restart'));
    for (const trouble of troublesOf(1)) {
      const audited = json(await inTrouble(trouble, ['legacy', 'audit', '--json'], [1]));
      const { unknown = 0, ...others } = audited['records'] as Record<string, number>;
      // What the store did not answer in the outage is "unknown", nothing else, and told until it is asked again.
      if (unknown > 0) {
        for (const [status, count] of Object.entries(others))
          expect(count).toBeLessThanOrEqual((records as Record<string, number>)[status]!);
      }
      const done = unknown > 0 ? json(await run('--restart')) : audited;
      expect([trouble, done['records'], done['objects']]).toEqual([trouble, records, objects]);
    }
    expect(await snapshot()).toEqual(before);
  }, 900_000);

  it('backfill and its undo: move every file once, and back', async () => {
    const originals = before.records.map(({ id, link, mime, size }) => ({ id, link, mime, size }));
    for (const trouble of troublesOf(0)) {
      const done = json(await inTrouble(trouble, ['legacy', 'backfill', '--yes', '--json'], [1]));
      const { moved, already, missing, mismatch, unreadable, refused, acknowledged, total } = done as Record<
        string,
        number
      >;
      expect(moved! + already!).toBe(movedIds.length);
      expect(moved! + already! + missing! + mismatch! + unreadable! + refused! + acknowledged!).toBe(total);
      await expectMoved();
      await inTrouble(trouble, ['legacy', 'backfill', 'undo', '--yes', '--json'], [0]);
      const { records } = await snapshot();
      expect(records.map(({ id, link, mime, size }) => ({ id, link, mime, size }))).toEqual(originals);
      expect(records.filter(({ sha256 }) => sha256 !== '' && sha256 !== undefined)).toEqual([]);
      await expectAllBytes();
    }
    for (const { id } of legacy.files.filter((file) => !movable.includes(file)))
      await within(({ catalog: records }) =>
        acknowledge(records, id, { reason: 'known', by: 'test', time: '' }, AbortSignal.timeout(60_000)),
      );
    expect((await endOf(command(['legacy', 'backfill', '--yes', '--json']))).code).toBe(0);
    await expectMoved();
  }, 1_800_000);

  it('verify: reads every file', async () => {
    for (const trouble of troublesOf(3)) {
      const verified = json(await inTrouble(trouble, ['verify', '--json'], [0]));
      expect(verified).toMatchObject({ state: 'done', checked: movedIds.length, damaged: [] });
    }
  }, 900_000);

  it('lock and unlock: reach locked and open, and restore exactly', async () => {
    expect((await traffic.stop()).failures).toEqual([]);
    const open = await snapshot();
    for (const trouble of troublesOf(2)) {
      await inTrouble(trouble, ['legacy', 'lock', '--enforce', '--yes', '--json'], [0]);
      const locked = await snapshot();
      expect(locked.rules).toMatchObject({ createRule: null, updateRule: null, deleteRule: null });
      expect(locked.protection).toEqual([true]);
      expect(JSON.stringify(locked.access)).not.toContain('"Principal":"*"');
      await inTrouble(trouble, ['legacy', 'unlock', '--json'], [0]);
      expect(await snapshot()).toEqual(open);
    }
    expect((await endOf(command(['legacy', 'lock', '--enforce', '--yes', '--json']))).code).toBe(0);
    await expectAllBytes();
  }, 1_800_000);

  it('views: the field goes and comes back with its links', async () => {
    const links = async () => {
      const rows = await legacy.admin.collection('files_v1').getFullList({ sort: 'id' });
      return rows.map(({ id, link }) => [id, link] as const);
    };
    const args = (action: string) => ['legacy', 'views', action, '--json'];
    const viewQuery = 'select f.id, f.title from files f';
    await legacy.admin.collections.update('files_with_links', { viewQuery });
    for (const trouble of troublesOf(1)) {
      await inTrouble(trouble, [...args('create'), '--link-prefix', 'https://bff.example/'], [0]);
      const wanted = await links();
      await inTrouble(trouble, [...args('drop-link'), '--yes'], [0]);
      expect(await links()).toEqual(wanted);
      await inTrouble(trouble, [...args('restore-link'), '--yes'], [0, 1]);
      expect(await links()).toEqual(wanted);
      await inTrouble(trouble, [...args('drop'), '--quiet', '0', '--yes'], [0, 1]);
      await eventually(async () => {
        const all = await legacy.admin.collections.getFullList();
        expect(all.map(({ name }) => name)).not.toContain('files_v1');
      });
    }
  }, 1_800_000);

  it('purge: every original of a moved file goes, all else stays', async () => {
    const { objects, ...rest } = await snapshot();
    // In either layout, thumbs included.
    const isOfMoved = (key: string) => key.split('/').some((part) => movedIds.includes(part));
    const args = ['legacy', 'purge', '--yes', '--max-purge', '100', '--json'];
    for (const trouble of troublesOf(2)) await inTrouble(trouble, args, [0]);
    const { objects: left, ...others } = await snapshot();
    expect(left).toEqual(objects.filter(([key]) => !isOfMoved(String(key))));
    expect(others).toEqual(rest);
    await expectAllBytes();
  }, 1_800_000);
});
