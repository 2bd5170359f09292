import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile, execFileSync } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFile } from '../support/certificates.ts';
import { ROOT } from '../support/install.ts';
import { AUDIENCE, startIssuer, type Issuer } from '../support/issuer.ts';
import { makeDir, removeDir, programEnv } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';
import { clientOf, randomContent, upload } from './support/calls.ts';
import { eventually } from '../support/eventually.ts';

const PATIENCE_MS = 30_000;

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

describe('ASSET_TOKEN_FILE of the command line', () => {
  let dir: string;
  let issuer: Issuer;
  let service: Service;
  let fileId: string;

  beforeAll(async () => {
    dir = await makeDir('cli-token');
    issuer = await startIssuer();
    service = await startService({
      ASSET_AUTH: 'oidc',
      ASSET_OIDC_ISSUER: issuer.url,
      ASSET_OIDC_AUDIENCE: AUDIENCE,
    });
    const headers = { authorization: `Bearer ${await tokenOf('writer', 'asset:admin')}` };
    fileId = (await upload(clientOf(service.url), randomContent(1000), { headers })).id;
  });

  afterAll(async () => {
    await service?.dispose();
    await issuer?.dispose();
    await removeDir(dir);
  });

  const tokenOf = (sub: string, scope = 'asset:read') => issuer.token({ sub, scope });

  function cli(args: readonly string[], env: Record<string, string>): Promise<Ended> {
    return new Promise((resolve) => {
      const all = { ...programEnv(), ASSET_URL: service.url, ...env };
      const options = { cwd: dir, env: all, timeout: 120_000 };
      const whole = [join(ROOT, 'src', 'main.ts'), ...args];
      execFile(process.execPath, whole, options, (error, stdout, stderr) => {
        resolve({ code: error ? Number(error.code ?? 1) : 0, stdout, stderr });
      });
    });
  }

  /** The principals that made calls of this RPC, as the log names them. */
  const principalsOf = (rpc: string) =>
    service
      .logLines()
      .filter((line) => line['rpc'] === rpc)
      .map(({ principal }) => principal);

  it('is sent, without the line break at its end, and read again by the next command', async () => {
    const path = join(dir, 'token');
    await writeFile(path, `${await tokenOf('ann')}\n`);
    const env = { ASSET_TOKEN_FILE: path };
    expect(await cli(['show', fileId], env)).toMatchObject({ code: 0, stderr: '' });
    await eventually(() => expect(principalsOf('GetFile').at(-1)).toBe('ann'), PATIENCE_MS);
    await replaceFile(path, `\r\n ${await tokenOf('bob')} \r\n`);
    expect(await cli(['show', fileId], env)).toMatchObject({ code: 0, stderr: '' });
    await eventually(() => expect(principalsOf('GetFile').at(-1)).toBe('bob'), PATIENCE_MS);
  });

  it('is read again for the next call of a command that goes on', async () => {
    // Whoever reads a pipe waits for who writes it, so that the test knows which call reads which token.
    const pipe = join(dir, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const running = cli(['download', fileId, '-o', 'copy.bin'], { ASSET_TOKEN_FILE: pipe });
    await writeFile(pipe, await tokenOf('first-call'));
    await eventually(() => expect(principalsOf('GetFile')).toContain('first-call'), PATIENCE_MS);
    await writeFile(pipe, await tokenOf('second-call'));
    expect(await running).toMatchObject({ code: 0 });
    await eventually(() => expect(principalsOf('DownloadFile')).toEqual(['second-call']), PATIENCE_MS);
  });

  it('gives way to a token that is given on the spot', async () => {
    const env = { ASSET_TOKEN_FILE: join(dir, 'missing'), ASSET_TOKEN: await tokenOf('environment') };
    expect(await cli(['show', fileId], env)).toMatchObject({ code: 0 });
    await eventually(() => expect(principalsOf('GetFile').at(-1)).toBe('environment'), PATIENCE_MS);
    const given = ['show', fileId, '--token', await tokenOf('option')];
    expect(await cli(given, env)).toMatchObject({ code: 0 });
    await eventually(() => expect(principalsOf('GetFile').at(-1)).toBe('option'), PATIENCE_MS);
  });

  it.each<[string, string, (path: string) => Promise<unknown>]>([
    ['is missing', 'cannot be read (ENOENT)', (path) => rm(path, { force: true })],
    ['is a directory', 'cannot be read (EISDIR)', (path) => mkdir(path)],
    ['is empty', 'is empty', (path) => writeFile(path, '\n')],
  ])('says what to do where the file %s', async (what, said, make) => {
    const path = join(dir, what.replaceAll(' ', '-'));
    await make(path);
    const { code, stdout, stderr } = await cli(['show', fileId], { ASSET_TOKEN_FILE: path });
    expect(code).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toContain(`the file ${path} ${said}: write an access token into it`);
    expect(stderr).toContain('ASSET_TOKEN_FILE');
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  it('never shows what the file holds, whatever it holds', async () => {
    const path = join(dir, 'two');
    for (const content of ['first-secret\nsecond-secret', 'first-secret second-secret', 'sécret-secret']) {
      await writeFile(path, content);
      const { code, stdout, stderr } = await cli(['show', fileId], { ASSET_TOKEN_FILE: path });
      expect(code).toBe(1);
      expect(stderr).toContain('what was given as a token is none');
      expect(stdout + stderr).not.toContain('-secret');
    }
  });
});
