import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import type { FileCatalog } from '../../src/catalog/file-catalog.ts';
import { openPostgresCatalog } from '../../src/catalog/sql/postgres.ts';
import { Authority } from '../support/certificates.ts';
import { serverProgram } from '../support/install.ts';
import { startPgBouncer } from '../support/pgbouncer.ts';
import { query, startPostgres, type Postgres } from '../support/postgres.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { createDatabase } from '../support/shared-servers.ts';
import { createFile, getFile, newId, outcomes } from './file-catalog/subject.ts';

const NO_NAMES = { relations: [], usages: [] };

/** The result of a statement on a connection of its own. */
async function ask(url: string, statement: string): Promise<readonly Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(statement)).rows;
  } finally {
    await client.end();
  }
}

async function using<T>(url: string, work: (catalog: FileCatalog) => Promise<T>): Promise<T> {
  const catalog = openPostgresCatalog({ url });
  try {
    return await work(catalog);
  } finally {
    await catalog.close();
  }
}

/** Uses everything in a catalog that depends on the way its database is reached. */
async function exercise(url: string): Promise<void> {
  await using(url, async (catalog) => {
    expect(await catalog.inspect(NO_NAMES)).toEqual([]);
    await Promise.all([catalog.migrate(), using(url, (other) => other.migrate())]);
    expect(await catalog.planMigration()).toEqual([]);
    await catalog.check();
    // More concurrent calls than a pooler has connections.
    const files = await Promise.all(
      Array.from({ length: 20 }, () => createFile(catalog, { owner: 'ann', relations: { project: ['p'] } })),
    );
    const { id, revision } = files[0]!;
    const updates = Array.from({ length: 8 }, () => catalog.update(id, revision, { name: 'new' }));
    expect((await outcomes(updates)).filter((outcome) => outcome === 'ok')).toHaveLength(1);
    expect(await catalog.list({ filter: { owner: 'ann' }, showDeleted: false, limit: 50 })).toHaveLength(20);
    expect(await catalog.totalsOf('ann', undefined)).toMatchObject({ files: 20 });
    const expireTime = new Date(Date.now() + 60_000);
    const leases = ['a', 'b', 'c'].map((holder) => catalog.acquireLease('sweep', holder, expireTime));
    expect((await Promise.all(leases)).filter(Boolean)).toHaveLength(1);
    const opened = await catalog.uploads.open({ id: newId(), state: { a: 1 }, expireTime });
    expect(opened.status).toBe('opened');
    expect(await catalog.purge(id, (await getFile(catalog, id)).revision)).toBe(true);
  });
}

const missing = await serverProgram('pgbouncer').then(
  () => undefined,
  (error: Error) => error,
);

describe('postgres behind PgBouncer', () => {
  if (missing !== undefined) {
    it.skip(`not run: PgBouncer cannot be had (${missing.message.slice(0, 80)}); set ASSET_TEST_PGBOUNCER_BIN`, () =>
      undefined);
    return;
  }
  it.each(['transaction', 'session'] as const)('is served with pooling by %s', async (mode) => {
    const pooler = await startPgBouncer(await createDatabase(), mode);
    try {
      await exercise(pooler.url);
      // Others share the server connections: nothing of ours may stay in one.
      for (let i = 0; i < 8; i++) {
        expect(await ask(pooler.url, 'show statement_timeout')).toEqual([{ statement_timeout: '0' }]);
      }
      expect(
        await ask(pooler.url, 'select count(*)::int as held from pg_locks where locktype = $$advisory$$'),
      ).toEqual([{ held: 0 }]);
    } finally {
      await pooler.dispose();
    }
  });

  it('is served in a schema of its own, and ends a statement in time', async () => {
    const url = await createDatabase();
    const pooler = await startPgBouncer(url, 'transaction');
    try {
      for (const ending of ['schema=own one', 'options=-csearch_path%3Dother']) {
        await query(url, 'create schema if not exists other');
        await exercise(`${pooler.url}?${ending}`);
      }
      const counts =
        'select (select count(*)::int from "own one".files) as one, (select count(*)::int from other.files) as two';
      expect(await ask(url, counts)).toEqual([{ one: 19, two: 19 }]);
      expect(await ask(url, "select to_regclass('public.files')::text as found")).toEqual([{ found: null }]);
    } finally {
      await pooler.dispose();
    }
  });
});

describe('postgres in a database that others use', () => {
  it('does not touch foreign tables, and says what to do', async () => {
    const url = await createDatabase();
    await query(url, 'create table files (id int, title text); insert into files values (1, $$theirs$$)');
    await query(
      url,
      'create table kysely_migration (name varchar(255) primary key, timestamp varchar(255) not null)',
    );
    await query(url, "insert into kysely_migration values ('2020_theirs', 'now')");
    await using(url, async (catalog) => {
      const text = expect.stringContaining('"public" has a table files of something else');
      expect(await catalog.inspect(NO_NAMES)).toEqual([{ level: 'mistake', text }]);
      await expect(catalog.migrate()).rejects.toMatchObject({ message: text });
    });
    await exercise(`${url}?schema=assets`);
    expect(await ask(url, 'select * from files')).toEqual([{ id: 1, title: 'theirs' }]);
    expect(await ask(url, 'select name from kysely_migration')).toEqual([{ name: '2020_theirs' }]);
    // Another service of this kind has its own schema.
    await exercise(`${url}?schema=more`);
  });

  it('goes on with a database that was migrated before its tables of migrations had names of their own', async () => {
    const url = await createDatabase();
    await using(url, (catalog) => catalog.migrate());
    for (const [own, shared] of [
      ['asset_migrations', 'kysely_migration'],
      ['asset_migrations_lock', 'kysely_migration_lock'],
    ]) {
      await query(url, `alter table ${own} rename to ${shared}`);
    }
    await using(url, async (catalog) => {
      expect(await catalog.inspect(NO_NAMES)).toEqual([]);
      expect(await catalog.migrate()).toEqual([]);
    });
  });

  it('tells the operator of a database that is read-only', async () => {
    const url = await createDatabase();
    await using(url, (catalog) => catalog.migrate());
    await query(
      url,
      `alter database ${new URL(url).pathname.slice(1)} set default_transaction_read_only = on`,
    );
    await using(url, async (catalog) => {
      expect(await catalog.inspect(NO_NAMES)).toEqual([
        { level: 'mistake', text: expect.stringContaining('not a replica') },
      ]);
      const cause = { message: expect.stringContaining('read-only') };
      await expect(catalog.check()).rejects.toMatchObject({ reason: 'CATALOG_UNAVAILABLE', cause });
      await expect(createFile(catalog)).rejects.toMatchObject({ reason: 'CATALOG_UNAVAILABLE' });
    });
  });
});

describe('postgres as libpq reaches it', () => {
  let dir: string;
  let authority: Authority;
  let other: Authority;
  let server: Postgres;
  let database: string;

  beforeAll(async () => {
    dir = await makeDir('postgres-tls');
    authority = await Authority.create(dir, 'authority');
    other = await Authority.create(dir, 'other');
    const tls = await authority.issue('server', { alternativeNames: ['IP.1 = 127.0.0.1'] });
    server = await startPostgres({
      tls,
      hba: [
        'hostssl all tls_only 127.0.0.1/32 trust',
        'host all tls_only 127.0.0.1/32 reject',
        'host all keeper 127.0.0.1/32 scram-sha-256',
      ],
    });
    database = await createDatabase(server.url);
    await using(database, (catalog) => catalog.migrate());
    await query(server.url, 'create role tls_only superuser login');
    await query(server.url, "create role keeper login password 'p@ss:/w#rd %?&'");
  });

  afterAll(async () => {
    await server?.dispose();
    await removeDir(dir);
  });

  const with_ = (parameters: string) => `${database}?${parameters}`;
  const check = (url: string) => using(url, (catalog) => catalog.check());

  it.each([
    ['no sslmode', ''],
    ['prefer', 'sslmode=prefer'],
    ['allow', 'sslmode=allow'],
    ['disable', 'sslmode=disable'],
    ['require, of any authority', 'sslmode=require'],
    ['verify-ca', 'sslmode=verify-ca&sslrootcert=AUTHORITY'],
    ['verify-full by an address', 'sslmode=verify-full&sslrootcert=AUTHORITY'],
  ])('connects with %s', async (_, parameters) => {
    await check(with_(parameters.replace('AUTHORITY', authority.certificate.certPath)));
  });

  it('encrypts where the server can, and where the server asks for it', async () => {
    for (const mode of ['', 'sslmode=prefer', 'sslmode=allow', 'sslmode=require']) {
      const url = new URL(with_(mode));
      url.username = 'tls_only';
      await check(url.href);
    }
    const plain = new URL(with_('sslmode=disable'));
    plain.username = 'tls_only';
    await expect(check(plain.href)).rejects.toMatchObject({ reason: 'CATALOG_UNAVAILABLE' });
  });

  it('refuses a server that is not the one', async () => {
    const [right, wrong] = [authority.certificate.certPath, other.certificate.certPath];
    for (const parameters of [
      `sslmode=verify-ca&sslrootcert=${wrong}`,
      `sslmode=verify-full&sslrootcert=${wrong}`,
      `sslmode=require&sslrootcert=${wrong}`,
      'sslmode=verify-full',
      'sslmode=verify-full&sslrootcert=system',
    ]) {
      const error = await check(with_(parameters)).catch((thrown: unknown) => thrown);
      expect([parameters, error]).toMatchObject([parameters, { reason: 'CATALOG_UNAVAILABLE' }]);
    }
    // The certificate is valid for 127.0.0.1 only.
    const named = (mode: string) =>
      with_(`sslmode=${mode}&sslrootcert=${right}`).replace('127.0.0.1', 'localhost');
    await check(named('verify-ca'));
    await expect(check(named('verify-full'))).rejects.toMatchObject({ reason: 'CATALOG_UNAVAILABLE' });
  });

  it('connects by a socket, and with a password of any characters', async () => {
    const name = new URL(database).pathname;
    await check(`postgres://postgres@${name}?host=${encodeURIComponent(server.dir)}&port=${server.port}`);
    await check(
      `postgres://postgres@${encodeURIComponent(server.dir)}:${server.port}${name}?sslmode=require`,
    );
    const keeper = new URL(database);
    keeper.username = 'keeper';
    keeper.password = encodeURIComponent('p@ss:/w#rd %?&');
    await query(database, 'grant select, insert, update, delete on all tables in schema public to keeper');
    await check(keeper.href);
    expect(await using(keeper.href, (catalog) => catalog.inspect(NO_NAMES))).toEqual([]);
    expect(await using(keeper.href, (catalog) => catalog.migrate())).toEqual([]);
  });

  it('says what a role lacks', async () => {
    const keeper = new URL(await createDatabase(server.url));
    const inspect = () => using(keeper.href, (catalog) => catalog.inspect(NO_NAMES));
    const superuser = keeper.href;
    Object.assign(keeper, { username: 'keeper', password: encodeURIComponent('p@ss:/w#rd %?&') });
    const mistake = (text: string) => [{ level: 'mistake', text: expect.stringContaining(text) }];
    expect(await inspect()).toEqual(mistake('grant create on schema "public" to "keeper"'));
    await using(superuser, (catalog) => catalog.migrate());
    expect(await inspect()).toEqual(mistake('grant select, insert, update, delete on all tables'));
    keeper.search = '?schema=assets';
    expect(await inspect()).toEqual(mistake('create schema "assets" authorization "keeper"'));
  });
});

it.each([
  ['postgres://user:p#ss@host/db', 'special characters of the password'],
  ['postgres://user:p/ss@host/db', 'special characters of the password'],
  ['mysql://host/db', 'cannot be read'],
  ['postgres://host/db?sslmode=maybe', 'sslmode=maybe'],
  ['postgres://host/db?sslmode=verify-ca', 'sslrootcert'],
  ['postgres://host/db?sslmode=verify-full&sslrootcert=/nonexistent', 'ENOENT'],
  ['postgres://host/db?options=--bad', '-c name=value'],
])('refuses the URL %s', (url, text) => {
  expect(() => openPostgresCatalog({ url })).toThrow(
    expect.objectContaining({ message: expect.stringContaining(text) }),
  );
});
