import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { migrateCatalog } from '../../src/app/catalog.ts';
import { loadConfig } from '../../src/config/config.ts';
import { runCli } from '../e2e/support/cli.ts';
import { USER_PASSWORD } from '../support/legacy/collections.ts';
import { startLegacySystem, type LegacySystem } from '../support/legacy/system.ts';
import { makeDir, removeDir } from '../support/process.ts';

const COMMANDS = [
  ['legacy', 'audit'],
  ['legacy', 'backfill', '--yes'],
  ['legacy', 'lock', '--enforce', '--yes'],
  ['legacy', 'purge', '--yes'],
  ['legacy', 'views', 'create', '--yes'],
];

describe('mistakes of an operator who moves old files', () => {
  let legacy: LegacySystem;
  let dir: string;

  beforeAll(async () => {
    [legacy, dir] = await Promise.all([startLegacySystem({ size: 3 }), makeDir('mistakes')]);
  });
  afterAll(async () => {
    await legacy?.dispose();
    await removeDir(dir);
  });

  /** What everybody can see of the old system. */
  const everything = async () => {
    const files = await legacy.admin.collections.getOne('files');
    const records = await legacy.admin.collection('files').getFullList({ sort: 'id' });
    const objects = await legacy.bucket.client.send(
      new ListObjectsV2Command({ Bucket: legacy.bucket.bucket }),
    );
    return { files, records, objects: objects.Contents };
  };

  /** Runs every command with wrong settings; each must end with 1, name the mistake, and change nothing. */
  async function refused(more: Readonly<Record<string, string>>, told: RegExp): Promise<void> {
    const before = await everything();
    const env = { ...legacy.env, ...more };
    const ended = await Promise.all(COMMANDS.map((command) => runCli(command, { cwd: dir, env })));
    for (const [i, { code, stdout, stderr }] of ended.entries()) {
      const command = COMMANDS[i]!.join(' ');
      expect({ command, code, stdout, stderr }).toEqual({
        ...{ command, code: 1, stdout: '', stderr: expect.stringMatching(told) },
      });
    }
    expect(await everything()).toEqual(before);
  }

  it('is told before a migration that one is needed', async () => {
    await refused({}, /ASSET_MIGRATE: .*run "asset-service migrate"/);
  });

  it('is told which login, collection, field, layout, key or bucket is wrong', async () => {
    await migrateCatalog(loadConfig(legacy.env));
    const user = { ASSET_POCKETBASE_EMAIL: 'user0@example.com', ASSET_POCKETBASE_PASSWORD: USER_PASSWORD };
    await refused(user, /ASSET_POCKETBASE_EMAIL.*superuser.*HTTP 400/);
    await refused({ ASSET_POCKETBASE_COLLECTION: 'projects' }, /"projects" has no field "mime"/);
    await refused(
      { ASSET_LEGACY_LINK_FIELD: 'links' },
      /ASSET_LEGACY_LINK_FIELD: .*no field "links".*"link"/,
    );
    await refused(
      { ASSET_LEGACY_LAYOUTS: '{id}/{safe_name}' },
      /ASSET_LEGACY_LAYOUTS: .*no field "safe_name"/,
    );
    const key = { ASSET_LEGACY_S3_ACCESS_KEY_ID: 'wrong', ASSET_LEGACY_S3_SECRET_ACCESS_KEY: 'wrong' };
    await refused(key, /ASSET_LEGACY_S3_ACCESS_KEY_ID/);
    await refused({ ASSET_LEGACY_S3_BUCKET: 'no-such-bucket' }, /ASSET_LEGACY_S3_BUCKET.*no-such-bucket/);
    const own = { ASSET_LEGACY_S3_BUCKET: legacy.env['ASSET_S3_BUCKET']! };
    await refused(own, /ASSET_LEGACY_S3_BUCKET: is the bucket of the service itself/);
  });
});
