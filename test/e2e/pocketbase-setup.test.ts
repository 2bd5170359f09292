import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import type PocketBase from 'pocketbase';
import { adminOf } from '../conformance/file-catalog/pocketbase-admin.ts';
import { eventually } from '../support/eventually.ts';
import { ROOT } from '../support/install.ts';
import { freePort } from '../support/ports.ts';
import { startPocketBase, type PocketBaseServer } from '../support/pocketbase.ts';
import { makeDir, removeDir, programEnv } from '../support/process.ts';
import { healthOf, startService, waitForHealth } from '../support/service.ts';
import { clientOf, randomContent, upload } from './support/calls.ts';
import { failureOf } from './support/failures.ts';

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

describe('an existing PocketBase', () => {
  let server: PocketBaseServer;
  let admin: PocketBase;
  let dir: string;
  let env: Record<string, string>;
  const signedIn = '@request.auth.id != ""';

  beforeAll(async () => {
    [server, dir] = await Promise.all([startPocketBase(), makeDir('pocketbase-setup')]);
    admin = await adminOf(server);
    env = {
      ASSET_DATA_DIR: dir,
      ASSET_CATALOG: 'pocketbase',
      ASSET_POCKETBASE_URL: server.url,
      ASSET_POCKETBASE_EMAIL: server.email,
      ASSET_POCKETBASE_PASSWORD: server.password,
      ASSET_POCKETBASE_COLLECTION: 'media',
    };
    await admin.collections.create({
      name: 'media',
      type: 'base',
      ...{ listRule: '', createRule: signedIn, updateRule: signedIn, deleteRule: signedIn },
      fields: [
        { name: 'title', type: 'text' },
        { name: 'url', type: 'url', required: true },
        { name: 'secure_name', type: 'text', required: true, hidden: true },
      ],
    });
  });

  afterAll(async () => {
    await server?.dispose();
    await removeDir(dir);
  });

  /** Runs the command line to its end. It never shows a stack. */
  async function cli(args: readonly string[], more: Record<string, string> = {}): Promise<Ended> {
    const options = { env: { ...programEnv(), ...env, ...more }, timeout: 120_000 };
    const ended = await new Promise<Ended>((resolve) => {
      execFile(process.execPath, [join(ROOT, 'src/main.ts'), ...args], options, (error, stdout, stderr) =>
        resolve({ code: error ? Number(error.code ?? 1) : 0, stdout, stderr }),
      );
    });
    expect(ended.stderr).not.toMatch(/\n\s+at /);
    return ended;
  }

  async function everything(): Promise<unknown> {
    const settings = await admin.settings.getAll();
    return { collections: await admin.collections.getFullList({ sort: 'id' }), settings };
  }

  const good = { ASSET_POCKETBASE_FIELDS: '{"name":"title"}', ASSET_POCKETBASE_HIDDEN_FIELDS: 'url' };
  const filled = { ...good, ASSET_POCKETBASE_DEFAULTS: '{"secure_name":"-"}' };

  it('is unchanged by wrong settings, which are reported by name', async () => {
    const before = await everything();
    const cases: [string[], Record<string, string>, string[]][] = [
      [
        ['migrate'],
        { ...good, ASSET_POCKETBASE_FIELDS: '{"name":"titel"}' },
        ['ASSET_POCKETBASE_FIELDS', 'titel', 'title'],
      ],
      [
        ['migrate', '--dry-run'],
        { ...good, ASSET_POCKETBASE_COLLECTION: 'medai' },
        ['ASSET_POCKETBASE_COLLECTION', 'medai', 'media'],
      ],
      [
        ['config', '--check'],
        { ...good, ASSET_POCKETBASE_HIDDEN_FIELDS: 'urls' },
        ['ASSET_POCKETBASE_HIDDEN_FIELDS', 'urls', 'url'],
      ],
      [['config', '--check'], good, ['media.secure_name', 'optional', 'ASSET_POCKETBASE_DEFAULTS']],
      [['config', '--check'], { ASSET_POCKETBASE_FIELDS: '{"nmae":"title"}' }, ['ASSET_POCKETBASE_FIELDS']],
    ];
    for (const [command, settings, told] of cases) {
      const { code, stdout, stderr } = await cli(command, settings);
      expect([command, code, stdout]).toEqual([command, 1, '']);
      for (const part of told) expect(stderr).toContain(part);
    }
    expect(await everything()).toEqual(before);
  }, 120_000);

  it('is shown what a migration would do, which changes nothing', async () => {
    const before = await everything();
    const { code, stdout } = await cli(['migrate', '--dry-run'], filled);
    expect(code).toBe(0);
    for (const part of [
      'media.content_type',
      'media.url optional',
      'asset_leases',
      'idx_asset_media_owner',
    ]) {
      expect(stdout).toContain(part);
    }
    expect(stdout).toContain('batch requests in the settings');
    expect(await everything()).toEqual(before);
  });

  it('keeps the service from serving until it can be filled, with the reason in the log', async () => {
    const service = await startService({ ...env, ...good }, { until: 'answering' });
    try {
      const errors = () => service.logLines().filter(({ level }) => level === 50);
      await eventually(() =>
        expect(errors().map(({ msg }) => msg)).toEqual(
          expect.arrayContaining([
            expect.stringMatching(/media\.secure_name .*ASSET_POCKETBASE_DEFAULTS/),
            expect.stringContaining(`createRule of the collection "media" is open to ${signedIn}`),
            expect.stringContaining('updateRule'),
            expect.stringContaining('deleteRule'),
          ]),
        ),
      );
      expect(service.logLines()).toContainEqual(
        expect.objectContaining({ level: 40, msg: expect.stringContaining('listRule') as unknown }),
      );
      expect(await healthOf(service.url)).toBe('NOT_SERVING');
      const refused = await failureOf(upload(clientOf(service.url), randomContent(10)));
      expect(refused).toMatchObject({ code: 'UNAVAILABLE' });

      // The first way out. Each thing is told once, however often the catalog is looked at.
      const { fields } = await admin.collections.getOne('media');
      await admin.collections.update('media', {
        fields: fields.map((field: object & { name: string }) =>
          field.name === 'secure_name' ? { ...field, required: false } : field,
        ),
      });
      await waitForHealth(service.url, 'SERVING', 30_000);
      await upload(clientOf(service.url), randomContent(10), { file: { name: 'a.bin' } });
      expect(errors().filter(({ msg }) => String(msg).includes('updateRule'))).toHaveLength(1);
    } finally {
      await service.dispose();
    }
  });

  it('is checked for open rules from the command line, each by name', async () => {
    const open = await cli(['config', '--check'], filled);
    expect(open).toMatchObject({ code: 1, stdout: '' });
    for (const part of ['error: The createRule', 'error: The updateRule', 'error: The deleteRule']) {
      expect(open.stderr).toContain(part);
    }
    expect(open.stderr).toContain('warning: The listRule');
    // The environment alone, with no server in reach.
    const nobody = { ASSET_POCKETBASE_URL: `http://127.0.0.1:${await freePort()}` };
    expect(await cli(['config', '--check', '--offline'], { ...filled, ...nobody })).toEqual({
      ...{ code: 0, stdout: '', stderr: '' },
    });
    expect((await cli(['config', '--check'], { ...filled, ...nobody })).code).toBe(1);

    await admin.collections.update('media', { createRule: null, updateRule: null, deleteRule: null });
    const closed = await cli(['config', '--check'], filled);
    expect(closed).toMatchObject({ code: 0, stderr: expect.stringMatching(/^warning: The listRule.*\n$/) });
  });

  it('is reached by the check like any other catalog', async () => {
    const url = `postgres://nobody:secret@127.0.0.1:${await freePort()}/files`;
    const { code, stderr } = await cli(['config', '--check'], {
      ...{ ASSET_CATALOG: 'postgres', ASSET_POSTGRES_URL: url },
    });
    expect(code).toBe(1);
    expect(stderr).toMatch(/ASSET_POSTGRES_URL: .*ECONNREFUSED/);
    expect(stderr).not.toContain('secret');
  });

  it('says that a migration is left to do where the service does none', async () => {
    await admin.collections.delete('asset_leases');
    const { code, stderr } = await cli(['config', '--check'], { ...filled, ASSET_MIGRATE: 'false' });
    expect(code).toBe(1);
    expect(stderr).toMatch(/ASSET_MIGRATE: .*asset_leases/);
  });
});
