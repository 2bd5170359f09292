import { GetBucketPolicyCommand, PutBucketPolicyCommand } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { migrateCatalog } from '../../src/app/catalog.ts';
import { withLockableSystem, withStoreAndCatalog } from '../../src/app/legacy.ts';
import { giveCatalogId } from '../../src/move/catalog/row.ts';
import { changeRow } from '../../src/move/replicas/row.ts';
import { loadConfig, type Config } from '../../src/config/config.ts';
import { lock, unlock, type LockOptions } from '../../src/legacy/lock.ts';
import { lockJournal } from '../../src/legacy/lock-journal.ts';
import type { Proof } from '../../src/legacy/proofs.ts';
import { shadowLock } from '../../src/legacy/shadow.ts';
import { moveStatus } from '../../src/legacy/status.ts';
import { clientOf, download } from '../e2e/support/calls.ts';
import { runCli } from '../e2e/support/cli.ts';
import { eventually } from '../support/eventually.ts';
import { LEGACY_VIEWS, USER_PASSWORD } from '../support/legacy/collections.ts';
import { killCommandAt } from '../support/legacy/killed-command.ts';
import { startFailingProxy, type FailingProxy } from '../support/legacy/failing-proxy.ts';
import { moveAll, type MovedSystem } from '../support/legacy/moved.ts';
import { startLegacySystem, type LegacySystem } from '../support/legacy/system.ts';
import { freePort } from '../support/ports.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';

const WEEK_MS = 7 * 86_400_000;
const signal = new AbortController().signal;

describe('legacy lock', () => {
  let legacy: LegacySystem;
  let moved: MovedSystem;
  let proxy: FailingProxy;
  let service: Service;
  let dir: string;
  let env: Record<string, string>;
  let userToken: string;

  beforeAll(async () => {
    [legacy, dir] = await Promise.all([startLegacySystem({ size: 12 }), makeDir('lock')]);
    proxy = await startFailingProxy(legacy.bucket.endpoint);
    env = { ...legacy.env, ASSET_LEGACY_S3_ENDPOINT: proxy.url, ASSET_AUDIT_LOG: join(dir, 'audit.log') };
    moved = await moveAll(legacy, env);
    service = await startService(legacy.env);
    userToken = (await signIn()).token;
  });
  afterAll(async () => {
    await service?.dispose();
    await Promise.all([proxy?.close(), legacy?.dispose()]);
    await removeDir(dir);
  });
  afterEach(async () => {
    proxy.fail = undefined;
    await open();
  });

  async function signIn() {
    const answer = await fetch(`${legacy.pocketbase.url}/api/collections/users/auth-with-password`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ identity: 'user0@example.com', password: USER_PASSWORD }),
    });
    return (await answer.json()) as { token: string };
  }
  const options = (more: Partial<LockOptions> = {}): LockOptions => ({
    ...{ holder: 'test', by: 'me@here', maxAgeMs: WEEK_MS, patienceMs: 3_000 },
    ...more,
  });
  const close = (more: Partial<LockOptions> = {}) =>
    moved.within((system) => lock(system, options(more), signal));
  const open = () => moved.within((system) => unlock(system, { holder: 'test' }, signal));
  const status = () => moved.within(({ catalog }) => moveStatus(catalog));
  const policy = async () => {
    const command = new GetBucketPolicyCommand({ Bucket: legacy.bucket.bucket });
    return legacy.bucket.client.send(command).then(
      ({ Policy }) => Policy,
      (error: Error) => error.name,
    );
  };
  const collection = () => legacy.admin.collections.getOne('files');
  /** Everything that a lock changes, as others see it. */
  const everything = async () => {
    const { updated: _, ...files } = await collection();
    return { policy: await policy(), files };
  };
  const rows = () =>
    Promise.all(LEGACY_VIEWS.map((view) => legacy.admin.collection(view).getFullList({ sort: 'id' })));
  const cli = (...args: string[]) => runCli(['legacy', ...args], { cwd: dir, env });
  const failedOf = (proofs: readonly Proof[]) => proofs.filter(({ ok }) => !ok).map(({ name }) => name);
  /** Runs a command that is killed at a point. */
  const killedAt = (point: string, nth: number, ...args: string[]) =>
    killCommandAt(legacy, { dir, env, point, nth }, args);

  it('shows in its shadow what it would refuse and to whom, and changes nothing', async () => {
    const before = await everything();
    const picture = legacy.files.find(({ way }) => way === 'pocketbase')!;
    await legacy.worker.read(picture.id);
    await legacy.worker.write('by-the-worker.txt', Buffer.from('late'));
    const log = join(dir, 'access.log');
    const line = (requester: string, operation: string, status: number) =>
      `79a59df9 ${legacy.bucket.bucket} [29/Nov/2026:00:00:38 +0000] 192.0.2.3 ${requester} 3E57 ${operation} a/b%2Bc.txt "PUT /a HTTP/1.1" ${status} - 113 - 7 - "-" "old worker/1 (\\"x\\")" - h= SigV4`;
    await writeFile(
      log,
      [line('-', 'REST.GET.OBJECT', 200), line('worker', 'REST.PUT.OBJECT', 200)]
        .concat(line('worker', 'REST.GET.OBJECT', 200), line('-', 'REST.GET.OBJECT', 403), 'nonsense')
        .join('\n'),
    );
    await eventually(async () => {
      const report = await moved.within((system) =>
        shadowLock(system, { maxAgeMs: WEEK_MS, userToken, since: new Date(0) }, signal),
      );
      expect(report.hit).toEqual(
        expect.arrayContaining([
          expect.objectContaining({ kind: 'write', method: 'POST', auth: 'users', collection: 'files' }),
          expect.objectContaining({ kind: 'file', method: 'GET', auth: '', hasToken: false }),
        ]),
      );
      expect(report.changes.map(({ gate }) => gate)).toEqual(['collection', 'policy']);
      const tried = new Set(report.open.map(({ name }) => name));
      for (const name of [
        'anonymous-get',
        'anonymous-list',
        'guest-create',
        'user-batch-delete',
        'api-files',
      ])
        expect([...tried]).toContain(name);
      // What the worker wrote since holds the lock up.
      expect(report.refusals.map(({ reason }) => reason)).toEqual(['NOT_MOVED']);
    });
    const { code, stdout } = await cli('lock', '--shadow', '--json', '--access-log', log);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      ...{ mode: 'shadow', locked: false, not_known: ['public-access-block'] },
      refused: [{ reason: 'NOT_MOVED' }],
      access_log: {
        unreadable: 1,
        uses: [
          { kind: 'read', requester: '', count: 1, user_agent: expect.stringContaining('old worker') },
          { kind: 'write', requester: 'worker', count: 1, last_time: '2026-11-29T00:00:38.000Z' },
        ],
      },
    });
    expect(await everything()).toEqual(before);
    await moved.moveAgain();
  });

  it('refuses by name before it changes anything', async () => {
    const before = await everything();
    const refused = async (reason: string, work: Promise<unknown>) => {
      await expect(work).rejects.toMatchObject({ reason });
      expect(await everything()).toEqual(before);
      expect((await status()).lock).toBeUndefined();
    };
    await refused('NOT_VERIFIED', close({ maxAgeMs: 0 }));
    await refused('BAD_USER_TOKEN', close({ userToken: 'no-token' }));
    const id = await legacy.bff.write('late.txt', Buffer.from('late'));
    await refused('NOT_MOVED', close());
    await legacy.admin.collection('files').delete(id);
    await legacy.admin.collections.update('files_with_links', { viewRule: '' });
    await refused('PUBLIC_VIEW_RULE', close());
    await legacy.admin.collections.update('files_with_links', { viewRule: null });
    const other = { ...env, ASSET_LEGACY_LAYOUTS: 'x/{id}/{secure_name}' };
    const elsewhere = moved.within((system) => lock(system, options(), signal), loadConfig(other));
    await refused('WRONG_BUCKET', elsewhere);
    proxy.fail = (method, path) => (method === 'PUT' && path.includes('policy') ? 403 : undefined);
    await refused('OLD_BUCKET', close());
    const told = await cli('lock', '--enforce', '--yes');
    expect(told.code).toBe(1);
    expect(told.stderr).toMatch(/AWS_ACCESS_KEY_ID.*policy of the bucket/);
    expect(await everything()).toEqual(before);
    const both = await cli('lock');
    expect([both.code, both.stderr]).toEqual([2, expect.stringMatching(/--shadow.*--enforce/)]);
    expect((await cli('lock', '--enforce')).code).toBe(2);
  });

  it('closes the PocketBase that was the catalog before a move, and refuses if it is not named', async () => {
    const { ASSET_POCKETBASE_URL, ASSET_POCKETBASE_EMAIL, ASSET_POCKETBASE_PASSWORD, ...others } = env;
    const named = { ASSET_POCKETBASE_URL, ASSET_POCKETBASE_EMAIL, ASSET_POCKETBASE_PASSWORD } as const;
    const moved2 = { ...others, ASSET_CATALOG: 'sqlite', ASSET_DATA_DIR: join(dir, 'moved-catalog') };
    await migrateCatalog(loadConfig(moved2));
    await moved.within(({ catalog: source }) =>
      withStoreAndCatalog(loadConfig(moved2), async ({ catalog }) => {
        expect((await catalog.importFiles(await source.exportFiles('', 200))).size).toBe(0);
        const { items } = await source.exportState('legacy-state', undefined, 500);
        await catalog.importState(items);
        const id = await giveCatalogId(catalog, {});
        const row = {
          ...{ move: 'm', epoch: 5, state: 'completed', active: id, maxPauseMs: 1 },
          ...{
            source: { kind: 'pocketbase', id: 'old' },
            target: { kind: 'sqlite', id },
            eras: [],
            time: '2026-11-29',
          },
        };
        await changeRow(catalog, 'catalogmove', undefined, row);
      }),
    );
    const run = (more: Record<string, string | undefined>, ...args: string[]) =>
      runCli(['legacy', ...args], { cwd: dir, env: { ...moved2, ...more } });
    const before = await everything();
    const refused = await run({}, 'lock', '--enforce', '--yes', '--json');
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('ASSET_POCKETBASE_URL')]);
    expect(JSON.parse(refused.stdout)).toMatchObject({ refused: [{ reason: 'NO_CATALOG_ACCESS' }] });
    expect(refused.stderr).toContain('ASSET_POCKETBASE_URL');
    expect(await everything()).toEqual(before);

    const locked = await run(named, 'lock', '--enforce', '--yes', '--json', '--user-token', userToken);
    expect([locked.code, locked.stderr]).toEqual([0, '']);
    expect(JSON.parse(locked.stdout)).toMatchObject({ locked: true });
    expect((await collection()).updateRule).toBeNull();
    expect(await policy()).not.toBe(before.policy);
    expect(JSON.parse((await run({}, 'status', '--json')).stdout)).toMatchObject({ state: 'locked' });
    const dry = await run(named, 'purge', '--dry-run', '--json', '--max-purge', '100');
    expect(JSON.parse(dry.stdout)).toMatchObject({ dry_run: true, unproven: 0 });
    const blind = await run({}, 'unlock', '--json');
    expect([blind.code, blind.stderr]).toEqual([1, expect.stringContaining('ASSET_POCKETBASE_URL')]);
    expect((await collection()).updateRule).toBeNull();
    expect((await run(named, 'unlock')).code).toBe(0);
    expect(await everything()).toEqual(before);
  });

  it('locks without a PocketBase that is gone for good, and tells what that does not prove', async () => {
    const { ASSET_POCKETBASE_URL: url, ASSET_POCKETBASE_EMAIL: email, ...others } = env;
    const { ASSET_POCKETBASE_PASSWORD: password, ...without } = others;
    const sqlite = { ...without, ASSET_CATALOG: 'sqlite', ASSET_DATA_DIR: join(dir, 'moved-catalog') };
    const named = { ASSET_POCKETBASE_URL: url!, ASSET_POCKETBASE_EMAIL: email! };
    const [blind, sighted] = [sqlite, { ...sqlite, ...named, ASSET_POCKETBASE_PASSWORD: password! }].map(
      (each) => loadConfig(each),
    ) as [Config, Config];
    const gone = `http://127.0.0.1:${await freePort()}`;
    const lockIt = (config: Config, ...where: string[]) =>
      withLockableSystem(config, (system) => lock(system, options(), signal), ...where);
    const unlockIt = (config: Config, ...where: string[]) =>
      withLockableSystem(config, (system) => unlock(system, { holder: 'test' }, signal), ...where);
    const before = await everything();
    // Refused while it answers, where the settings name another one, and where it is the catalog.
    await expect(lockIt(blind, url!)).rejects.toMatchObject({ reason: 'POCKETBASE_ANSWERS' });
    await expect(unlockIt(blind, url!)).rejects.toThrow(/answers \(HTTP 200\)/);
    await expect(lockIt(sighted, gone)).rejects.toThrow(url);
    await expect(lockIt(moved.config, url!)).rejects.toThrow(/is the catalog/);
    const shadow = await withLockableSystem(
      blind,
      (system) => shadowLock(system, { maxAgeMs: WEEK_MS, since: new Date(0) }, signal),
      url,
    );
    expect(shadow.refusals.map(({ reason }) => reason)).toEqual(['POCKETBASE_ANSWERS']);
    expect(await everything()).toEqual(before);

    const run = (...args: string[]) => runCli(['legacy', ...args], { cwd: dir, env: sqlite });
    const locked = await run('lock', '--enforce', '--yes', '--json', '--without-pocketbase', gone);
    expect([locked.code, locked.stderr]).toEqual([0, '']);
    const proofs = ['anonymous-get', 'anonymous-list', 'anonymous-put', 'pocketbase-gone', 'all-moved'];
    expect((JSON.parse(locked.stdout) as { proofs: Proof[] }).proofs).toEqual(
      expect.arrayContaining(proofs.map((name) => expect.objectContaining({ name, ok: true }))),
    );
    expect(await everything()).toEqual({ policy: 'NoSuchBucketPolicy', files: before.files });
    expect(JSON.parse((await run('status', '--json')).stdout)).toMatchObject({
      ...{ state: 'locked', lock: { without_pocketbase: gone, collection_proven: false } },
    });
    expect(await readFile(join(dir, 'audit.log'), 'utf8')).toContain(`"without_pocketbase":"${gone}"`);
    // It is there again: the next lock closes its collection too, and unlock restores both.
    const whole = await lockIt(sighted);
    expect([whole.isProven, whole.journal.withoutPocketBase]).toEqual([true, undefined]);
    expect((await collection()).updateRule).toBeNull();
    await unlockIt(sighted);
    expect(await everything()).toEqual(before);
    // It goes after the lock: unlock restores the rest, and names what it cannot.
    expect((await lockIt(sighted)).isProven).toBe(true);
    const rest = await unlockIt(blind, gone);
    expect(rest).toEqual({ wasLocked: true, restored: ['acl', 'policy'], notRestored: ['collection'] });
    expect(await policy()).toBe(before.policy);
    await legacy.admin.collections.update('files', before.files);
    expect(await everything()).toEqual(before);
  }, 60_000);

  it('locks, proves it, lets the service and the views go on, and restores exactly', async () => {
    const [before, viewed] = [await everything(), await rows()];
    const done = await cli(
      'lock',
      '--enforce',
      '--yes',
      '--json',
      '--user-token',
      userToken,
      '--journal',
      'kept',
    );
    expect([done.code, done.stderr]).toEqual([0, '']);
    const result = JSON.parse(done.stdout) as { proofs: { name: string }[] };
    expect(result).toMatchObject({ locked: true, was_locked: false });
    const names = ['anonymous-get', 'anonymous-list', 'anonymous-put', 'guest-create', 'guest-update'];
    names.push('guest-delete', 'guest-batch-upsert', 'user-create', 'user-batch-delete', 'api-files');
    expect(result.proofs.map(({ name }) => name)).toEqual(expect.arrayContaining(names));
    expect(await status()).toMatchObject({ state: 'locked', lock: { by: expect.stringContaining('@') } });
    expect(await policy()).toBe('NoSuchBucketPolicy');
    expect(await collection()).toMatchObject({ createRule: null, updateRule: null, deleteRule: null });
    expect(await rows()).toEqual(viewed);
    // The old programs are shut out, alone and in a batch.
    const { files } = legacy;
    await expect(legacy.bff.read(files[0]!.id)).rejects.toThrow('HTTP 403');
    await expect(legacy.bff.write('x.txt', Buffer.from('x'))).rejects.toThrow();
    await expect(legacy.worker.write('x.txt', Buffer.from('x'))).rejects.toThrow();
    // The service goes on with moved files and with those that lie in the old bucket.
    const client = clientOf(service.url);
    for (const file of [files[0]!, files[5]!, legacy.file('broken-relation')]) {
      expect((await download(client, file.id)).content.equals(file.content)).toBe(true);
    }
    const again = await close();
    expect([again.wasLocked, again.isProven]).toEqual([true, true]);
    expect(JSON.parse(await readFile(join(dir, 'kept'), 'utf8'))).toMatchObject({
      bucket: legacy.bucket.bucket,
    });
    const opened = await cli('unlock', '--json');
    expect(JSON.parse(opened.stdout)).toMatchObject({
      ...{ was_locked: true, public_access: { anonymousGet: 'open', anonymousList: 'open' } },
    });
    expect(await everything()).toEqual(before);
    expect(await legacy.bff.read(files[0]!.id)).toEqual(files[0]!.content);
    expect(await open()).toEqual({ wasLocked: false, restored: [], notRestored: [] });
    expect((await status()).state).toBe('verified');
    expect(await readFile(join(dir, 'audit.log'), 'utf8')).toMatch(/legacy\.lock.*\n.*legacy\.unlock/);
  });

  it('fails by name while a key of an old program can write, and is repeated after that', async () => {
    const { accessKeyId, secretAccessKey } = legacy.bucket;
    const workerKey = { accessKeyId, secretAccessKey };
    const first = await close({ workerKey, patienceMs: 0 });
    expect([first.isProven, failedOf(first.proofs)]).toEqual([false, ['worker-put']]);
    expect(await status()).toMatchObject({ lock: { phase: 'locking' } });
    expect((await status()).nextSteps).toContain('asset-service legacy unlock');
    const listed = await moved.within(({ bucket }) => bucket.reader.list('asset-service', {}));
    expect(listed.filter(({ key }) => key.startsWith('asset-service'))).toEqual([]);
    const second = await close({ workerKey: { accessKeyId: 'gone', secretAccessKey } });
    expect([second.isProven, second.journal.phase]).toEqual([true, 'locked']);
  });

  it('keeps what a policy lets others do by name, and refuses what somebody changed since', async () => {
    const { bucket, client } = legacy.bucket;
    const original = (await policy())!;
    const named = { Effect: 'Allow', Principal: { AWS: ['arn:aws:iam::123456789012:user/x'] } };
    const mixed = JSON.parse(original) as { Statement: object[] };
    mixed.Statement.push({ ...named, Action: ['s3:GetObject'], Resource: [`arn:aws:s3:::${bucket}/*`] });
    const put = (Policy: string) => client.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy }));
    await put(JSON.stringify(mixed));
    const stored = await policy();
    const { isProven } = await close();
    expect(isProven).toBe(true);
    const locked = (await policy())!;
    expect((JSON.parse(locked) as { Statement: object[] }).Statement).toHaveLength(1);
    await put(original);
    await expect(open()).rejects.toMatchObject({ reason: 'CHANGED_BY_OTHERS' });
    expect(await policy()).toBe(original);
    await put(locked);
    await legacy.admin.collections.update('files', { deleteRule: '' });
    await expect(open()).rejects.toMatchObject({ reason: 'CHANGED_BY_OTHERS' });
    expect((await status()).nextSteps).toEqual(['asset-service legacy unlock']);
    await legacy.admin.collections.update('files', { deleteRule: null });
    await open();
    expect(await policy()).toBe(stored);
    await put(original);
  });

  it('reaches locked or open with one repetition, wherever it was killed', async () => {
    const before = await everything();
    const points = [
      ['lock.journaled', 1],
      ['lock.gate-closed', 1],
      ['lock.gate-closed', 2],
      ['lock.proven', 1],
    ] as const;
    for (const [point, nth] of points) {
      await killedAt(point, nth, 'lock', '--enforce', '--yes');
      if (point === 'lock.journaled') {
        expect(await everything()).toEqual(before);
      } else {
        await open();
        expect(await everything()).toEqual(before);
        await killedAt(point, nth, 'lock', '--enforce', '--yes');
      }
      expect((await close()).isProven).toBe(true);
      expect((await status()).state).toBe('locked');
      const undone = nth === 1 ? 'unlock.begun' : 'unlock.gate-opened';
      await killedAt(undone, 1, 'unlock');
      if (point === 'lock.gate-closed') {
        expect((await close()).isProven).toBe(true);
        await killedAt('unlock.gate-opened', 2, 'unlock');
      }
      await open();
      expect(await everything()).toEqual(before);
      expect(await moved.within(({ catalog }) => lockJournal(catalog.legacy))).toBeUndefined();
    }
  });
});
