import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { eventually } from '../support/eventually.ts';
import { ROOT } from '../support/install.ts';
import { createDatabase, sharedS3 } from '../support/shared-servers.ts';
import { startService, type Service } from '../support/service.ts';

/** What every mistake of the environment is told with, wherever the operator meets it. */
const BUCKET =
  /^ASSET_S3_BUCKET: the bucket does not exist \(HTTP 404 NoSuchBucket\) \(it is "no-such-bucket"\)$/;
const DATABASE = 'ASSET_POSTGRES_URL: PostgreSQL answers: database "nonsense" does not exist (3D000)';

describe('an operator with a wrong bucket and a wrong database', () => {
  let env: Record<string, string>;
  let service: Service;

  beforeAll(async () => {
    const url = new URL(await createDatabase());
    url.pathname = '/nonsense';
    url.password = 'hunter2';
    env = {
      ...{ ASSET_STORE: 's3', ASSET_S3_ENDPOINT: sharedS3().endpoint, ASSET_S3_BUCKET: 'no-such-bucket' },
      ...{ ASSET_CATALOG: 'postgres', ASSET_POSTGRES_URL: url.href, ASSET_HEALTH_INTERVAL: '0.2' },
    };
    service = await startService(env, { until: 'answering' });
  });

  afterAll(() => service?.dispose());

  const downs = () => service.logLines().filter(({ msg }) => msg === 'dependency is down');

  it('reads both in the log, once, without a stack and without a secret', async () => {
    const [store, catalog] = await eventually(() => {
      const found = ['store', 'catalog'].map((name) => downs().find(({ dependency }) => dependency === name));
      expect(found).not.toContain(undefined);
      return found;
    });
    expect(store).toMatchObject({ level: 50, cause: expect.stringMatching(BUCKET) as unknown });
    expect(catalog).toMatchObject({ level: 50, cause: DATABASE });
    // Several checks have gone by since.
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect(downs()).toHaveLength(2);
    expect(service.log()).not.toMatch(/\\n\s+at |hunter2/);
  });

  it.each([[['migrate']], [['sweep']], [['sweep', '--dry-run']]])(
    'is told by %j, with 1 and no advice to try again',
    async (args) => {
      const { code, stderr } = await cli(args);
      expect([code, stderr]).toEqual([1, `asset-service: ${DATABASE}\n`]);
    },
  );

  function cli(args: readonly string[]): Promise<{ readonly code: number; readonly stderr: string }> {
    return new Promise((resolve) => {
      const options = { env: { ...process.env, ...env }, timeout: 120_000 };
      execFile(process.execPath, [join(ROOT, 'src', 'main.ts'), ...args], options, (error, _, stderr) => {
        resolve({ code: error ? Number(error.code ?? 1) : 0, stderr });
      });
    });
  }
});
