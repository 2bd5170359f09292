import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually } from '../support/eventually.ts';
import { scrape, sumOf } from '../support/metrics.ts';
import { freePort } from '../support/ports.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { healthOf, startService, type Service } from '../support/service.ts';
import { POCKETBASE, type Setup } from './support/setups.ts';

const SECRET = Buffer.alloc(32, 'secret of one replica').toString('base64');

describe('two replicas with other settings', () => {
  let setup: Setup;
  let dir: string;
  let one: Service;
  let other: Service | undefined;
  let metricsPort: number;

  beforeAll(async () => {
    setup = await POCKETBASE.open();
    dir = await makeDir('settings');
    metricsPort = await freePort();
    await writeFile(join(dir, 'policies.json'), JSON.stringify({ default: {} }));
    one = await startService({
      ...setup.env,
      ASSET_HEALTH_INTERVAL: '0.3',
      ASSET_METRICS_LISTEN: `127.0.0.1:${metricsPort}`,
    });
  });

  afterAll(async () => {
    await other?.dispose();
    await one?.dispose();
    await setup?.dispose();
    await removeDir(dir);
  });

  const warnings = ({ logLines }: Service) =>
    logLines().filter(({ msg }) => String(msg).startsWith('other replicas run with other values'));

  it('warn of them by name, in the log, in health and in the metrics, until they agree', async () => {
    await eventually(async () => expect(await healthOf(one.url, 'settings')).toBe('SERVING'));
    other = await startService(
      {
        ...setup.env,
        ASSET_HEALTH_INTERVAL: '0.3',
        // These may differ.
        ASSET_MAX_UPLOADS: '7',
        ASSET_LOG_LEVEL: 'debug',
        // The same policies as without a file.
        ASSET_POLICY_FILE: join(dir, 'policies.json'),
        // These must not.
        ASSET_S3_BUCKET: 'elsewhere',
        ASSET_URL_SIGNING_KEY: SECRET,
        ASSET_UPLOAD_SESSION_TTL: '1234',
      },
      { until: 'answering' },
    );
    const differing = ['ASSET_S3_BUCKET', 'ASSET_UPLOAD_SESSION_TTL', 'ASSET_URL_SIGNING_KEY'];
    for (const replica of [one, other]) {
      await eventually(() =>
        expect(warnings(replica)).toMatchObject([{ level: 40, settings: differing, replicas: 1 }]),
      );
      await eventually(async () => expect(await healthOf(replica.url, 'settings')).toBe('NOT_SERVING'));
      expect(replica.log()).not.toContain(SECRET);
    }
    // It goes on serving.
    expect(await healthOf(one.url)).toBe('SERVING');
    const up = async () => sumOf(await scrape(metricsPort), 'asset_dependency_up', 'dependency="settings"');
    expect(await up()).toBe(0);

    // A change of the policies is noticed without a restart.
    await writeFile(join(dir, 'policies.json'), JSON.stringify({ default: { maxSizeBytes: 10 } }));
    await eventually(() =>
      expect(warnings(one).at(-1)?.['settings']).toEqual(['ASSET_POLICY_FILE', ...differing]),
    );
    await other.dispose();
    await eventually(async () => expect(await healthOf(one.url, 'settings')).toBe('SERVING'));
    expect(await up()).toBe(1);
  });
});
