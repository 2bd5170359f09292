import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { migrateCatalog } from '../../src/app/catalog.ts';
import { backupTo } from '../../src/app/backup.ts';
import { withStoreAndCatalog } from '../../src/app/legacy.ts';
import { backupLocation } from '../../src/config/backup.ts';
import { explainFailure } from '../../src/config/explain.ts';
import { loadConfig } from '../../src/config/config.ts';
import { S3BlobStore } from '../../src/storage/s3/s3-store.ts';
import { adminOf } from '../conformance/file-catalog/pocketbase-admin.ts';
import { newId } from '../conformance/file-catalog/subject.ts';
import { endOf, runCli, startCli, type Ended } from '../e2e/support/cli.ts';
import { POCKETBASE, POSTGRES, type Setup } from '../e2e/support/setups.ts';
import { addFile, contentOf, type StoreAndCatalog } from '../support/backups.ts';
import { query } from '../support/postgres.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { createBucket, type TestBucket } from '../support/shared-servers.ts';

const OPEN = new AbortController().signal;

type Env = Readonly<Record<string, string>>;

describe('asset-service backup and restore', () => {
  let dir: string;
  let backups: TestBucket;

  beforeAll(async () => {
    [dir, backups] = await Promise.all([makeDir('backup'), createBucket()]);
  });
  afterAll(() => removeDir(dir));

  const within = <T>(env: Env, work: (parts: StoreAndCatalog) => Promise<T>) =>
    withStoreAndCatalog(loadConfig(env), work);

  async function open(kind: typeof POSTGRES): Promise<Setup> {
    const setup = await kind.open();
    await migrateCatalog(loadConfig(setup.env));
    return setup;
  }

  const keys = () => ({
    ASSET_BACKUP_S3_ACCESS_KEY_ID: backups.accessKeyId,
    ASSET_BACKUP_S3_SECRET_ACCESS_KEY: backups.secretAccessKey,
  });
  const aws = () => ({
    AWS_ACCESS_KEY_ID: backups.accessKeyId,
    AWS_SECRET_ACCESS_KEY: backups.secretAccessKey,
  });
  const place = (env: Env) => ({ cwd: dir, env: { ...env, ...aws(), ...keys() } });
  const json = ({ stdout, stderr, code }: Ended) => {
    if (stdout === '') throw new Error(`the command ended with ${code}: ${stderr}`);
    return JSON.parse(stdout) as Record<string, unknown>;
  };

  /** Starts a command and kills it when `isMiddle`. */
  async function killed(args: readonly string[], env: Env, isMiddle: () => Promise<boolean>): Promise<void> {
    const child = startCli(args, place(env));
    const ended = endOf(child);
    while (!(await isMiddle()) && child.exitCode === null) await sleep(10);
    child.kill('SIGKILL');
    expect((await ended).code).toBe('SIGKILL');
    // A minute passes.
    await query(env['ASSET_POSTGRES_URL']!, "delete from leases where name = 'purge'");
  }

  it('survives kills on SeaweedFS and PostgreSQL, and gives back every field and byte', async () => {
    const [from, to] = [await open(POSTGRES), await open(POSTGRES)];
    const target = `s3://${backups.bucket}/of/postgres`;
    const there = new S3BlobStore({ ...backups, forcePathStyle: true, credentials: backups });
    const countOf = async (store: Pick<S3BlobStore, 'listBlobs'>, prefix: string) =>
      (await store.listBlobs({ prefix, limit: 1_000 })).length;
    try {
      await within(from.env, async (parts) => {
        await Promise.all(
          Array.from({ length: 100 }, (_, i) => addFile(parts, randomBytes(1_000 + i), {}, newId())),
        );
        await addFile(parts, randomBytes(11 * 2 ** 20));
        const { id, revision } = await addFile(parts, 'deleted');
        const time = new Date(Date.now() - 1_000);
        await parts.catalog.update(id, revision, { deleteTime: time, purgeTime: time });
      });
      const args = ['backup', target, '--json'];
      await killed(args, from.env, async () => (await countOf(there, 'of/postgres/bytes/')) > 3);
      const copiedBefore = await countOf(there, 'of/postgres/bytes/');
      const made = json(await runCli(args, place(from.env)));
      expect(made).toMatchObject({ kind: 'full', files: 102, deleted: 1, damaged_count: 0 });
      expect(made['resumed_from']).toBe(made['start_time']);
      expect(made['copied']).toBe(102 - copiedBefore);

      await within(from.env, (parts) => addFile(parts, 'later', {}, newId()));
      const later = json(await runCli(args, place(from.env)));
      expect(later).toMatchObject({ kind: 'incremental', base: made['backup'], files: 103, copied: 1 });

      await within(to.env, ({ store }) =>
        killed(['restore', target], to.env, async () => {
          return (await store.listBlobs({ prefix: 'assets/', limit: 10 })).length > 3;
        }),
      );
      const restored = json(await runCli(['restore', target, '--json'], place(to.env)));
      expect(restored).toMatchObject({ state: 'done', files: 103, proven: 103, damaged_count: 0 });
      expect(await within(to.env, contentOf)).toEqual(await within(from.env, contentOf));

      const refused = await runCli(['restore', target], place(from.env));
      expect(refused).toMatchObject({ code: 1, stdout: '' });
      expect(refused.stderr).toMatch(/the catalog \(postgres\) is not empty: it has the file \w{15}/);
    } finally {
      await there.close();
      await Promise.all([from.dispose(), to.dispose()]);
    }
  });

  it('brings the files of a PocketBase into a PostgreSQL, and these into a PocketBase', async () => {
    const [from, to] = [await open(POCKETBASE), await open(POSTGRES)];
    const target = `s3://${backups.bucket}/of/pocketbase`;
    try {
      await within(from.env, async (parts) => {
        const relations = { project: [from.projects[0]!] };
        for (let i = 0; i < 5; i++) await addFile(parts, randomBytes(50), { relations }, newId());
      });
      expect(json(await runCli(['backup', target, '--json'], place(from.env)))).toMatchObject({ files: 5 });
      await within(from.env, async (parts) => {
        await addFile(parts, 'later', {}, newId());
      });
      const later = json(await runCli(['backup', target, '--json'], place(from.env)));
      expect(later).toMatchObject({ kind: 'incremental', files: 6, copied: 1 });
      expect(json(await runCli(['restore', target, '--json'], place(to.env)))).toMatchObject({ proven: 6 });
      expect(await within(to.env, contentOf)).toEqual(await within(from.env, contentOf));
      const other = await open(POCKETBASE);
      try {
        // The relation names a record of the first PocketBase.
        const refused = await runCli(['restore', target], place(other.env));
        expect(refused.code).toBe(1);
        expect(refused.stderr).toMatch(
          /the catalog refuses the record of \w{15}: RELATION_TARGET_MISSING: A target of "project"/,
        );
        expect(await other.blobs()).toEqual([]);
        const { ASSET_POCKETBASE_URL: url, ASSET_POCKETBASE_EMAIL: email } = other.env;
        const admin = await adminOf({
          url: url!,
          email: email!,
          password: other.env['ASSET_POCKETBASE_PASSWORD']!,
        });
        await admin.collection('projects').create({ id: from.projects[0] });
        expect(json(await runCli(['restore', target, '--json'], place(other.env)))).toMatchObject({
          proven: 6,
        });
        expect(await within(other.env, contentOf)).toEqual(await within(from.env, contentOf));
      } finally {
        await other.dispose();
      }
    } finally {
      await Promise.all([from.dispose(), to.dispose()]);
    }
  });

  it('names the place, not the store of the service, where the place fails in the middle', async () => {
    const proxy = await startTcpProxy(backups.endpoint);
    const env = {
      ASSET_DATA_DIR: `${dir}/cut`,
      ASSET_BACKUP_S3_ENDPOINT: `http://${proxy.address}`,
      ...keys(),
    };
    const config = loadConfig(env);
    await migrateCatalog(config);
    try {
      await within(env, (parts) => addFile(parts, randomBytes(100)));
      const where = backupLocation(`s3://${backups.bucket}/cut`, config);
      const onProgress = () => void proxy.cut();
      const error: unknown = await backupTo(config, where, { full: false, onProgress }, OPEN).then(
        () => 'it was made',
        (reason: unknown) => reason,
      );
      expect(explainFailure(error, config)).toMatch(/^ASSET_BACKUP_S3_ENDPOINT: .*ECONN/);
    } finally {
      await proxy.close();
    }
  });

  it.each([
    ['ftp://host/x', 2, 'ftp:// is no place for backups: give a directory, or s3://BUCKET/PREFIX'],
    ['s3://bucket/UPPER', 2, 's3://bucket/UPPER is no place for backups'],
    ['data/backups', 2, 'is in ASSET_DATA_DIR: a backup there is lost with the files'],
    ['.', 1, 'is no place of backups: it has '],
    ['s3://no-such-bucket-of-backups/x', 1, /no-such-bucket-of-backups|NoSuchBucket/],
  ])('refuses %s with the exit code %i and says why', async (where, wantedCode, why) => {
    const env = {
      ...{ ASSET_DATA_DIR: `${dir}/data`, ASSET_BACKUP_S3_ENDPOINT: backups.endpoint },
    };
    await migrateCatalog(loadConfig(env));
    const { code, stderr } = await runCli(['backup', where], place(env));
    expect(code).toBe(wantedCode);
    expect(stderr).toMatch(why);
  });
});
