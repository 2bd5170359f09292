import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Authority } from '../support/certificates.ts';
import { ROOT } from '../support/install.ts';
import { freePort } from '../support/ports.ts';
import { makeDir, removeDir, programEnv } from '../support/process.ts';
import { startService } from '../support/service.ts';

/** `asset-service health`, in an environment that is the image's: nothing but the settings of the service. */
function health(
  env: Readonly<Record<string, string>>,
  ...args: string[]
): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  return new Promise((resolve) => {
    const options = { env: { ...programEnv(), ...env }, timeout: 120_000 };
    execFile(
      process.execPath,
      [join(ROOT, 'src', 'main.ts'), 'health', ...args],
      options,
      (error, stdout, stderr) => {
        resolve({ code: error ? Number(error.code ?? 1) : 0, stdout, stderr });
      },
    );
  });
}

describe('asset-service health', () => {
  let dir: string;
  let authority: Authority;

  beforeAll(async () => {
    dir = await makeDir('health-command');
    authority = await Authority.create(dir, 'authority');
  });

  afterAll(() => removeDir(dir));

  it('asks the service that its own settings configure, also with TLS and in a file', async () => {
    // The name of the certificate is that which callers use, and its authority is in no trust store.
    const { certPath, keyPath } = await authority.issue('files.example', {
      alternativeNames: ['DNS.1 = files.example'],
    });
    const tls = { ASSET_TLS_CERT: certPath, ASSET_TLS_KEY: keyPath };
    const service = await startService(tls);
    try {
      const path = join(dir, 'service.env');
      const lines = Object.entries({ ...tls, ASSET_LISTEN: `127.0.0.1:${service.port}` });
      await writeFile(path, lines.map(([name, value]) => `${name}=${value}\n`).join(''));
      expect(await health({ ASSET_CONFIG_FILE: path })).toEqual({ code: 0, stdout: 'SERVING\n', stderr: '' });
      // It listens on every address as far as the command can tell; callers have to be known there.
      const everywhere = {
        ASSET_LISTEN: `0.0.0.0:${service.port}`,
        ASSET_AUTH: 'mtls',
        ASSET_TLS_CLIENT_CA: certPath,
      };
      const principals = '{"CN:worker":{"id":"worker","roles":[]}}';
      expect(await health({ ...tls, ...everywhere, ASSET_MTLS_PRINCIPALS: principals })).toMatchObject({
        code: 0,
      });
      // Whoever names a service means that one, and its certificate counts.
      expect(await health({ ...tls, ...everywhere }, '--url', service.url)).toMatchObject({
        code: 1,
        stdout: '',
      });
    } finally {
      await service.dispose();
    }
  });

  it('says what a service lacks that cannot work', async () => {
    const nobody = `127.0.0.1:${await freePort()}`;
    const service = await startService(
      {
        ...{ ASSET_STORE: 's3', ASSET_S3_ENDPOINT: `http://${nobody}`, ASSET_S3_BUCKET: 'files' },
        ...{ ASSET_CATALOG: 'postgres', ASSET_POSTGRES_URL: `postgres://${nobody}/files` },
      },
      { until: 'answering' },
    );
    try {
      const ended = await health({ ASSET_URL: service.url });
      expect(ended).toEqual({ code: 1, stdout: 'NOT_SERVING: catalog, store\n', stderr: '' });
    } finally {
      await service.dispose();
    }
  });

  it('says what to do where the settings do not tell the port', async () => {
    const { code, stderr } = await health({ ASSET_LISTEN: '127.0.0.1:0' });
    expect([code, stderr]).toEqual([1, expect.stringMatching(/ASSET_LISTEN .*--url/)]);
    expect(stderr).not.toMatch(/\n\s+at /);
  });
});
