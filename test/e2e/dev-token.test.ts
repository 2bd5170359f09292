import { createWorkerClient } from '@asset-service/worker';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { decodeJwt } from 'jose';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeDir, removeDir } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';
import { runCli, type Ended } from './support/cli.ts';

let dir: string;
let service: Service;
let env: Record<string, string>;

const cli = (args: readonly string[], more: Record<string, string> = {}) =>
  runCli(args, { cwd: dir, env: { ...env, ...more } });

/** A token for development. */
async function token(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await cli(['dev-token', ...args]);
  expect([code, stderr]).toEqual([0, '']);
  return stdout.trim();
}

beforeAll(async () => {
  dir = await makeDir('dev-token');
  env = { ASSET_DATA_DIR: join(dir, 'data') };
  // The settings are a file for the service as they are printed.
  const printed = await cli(['dev-token', '--settings']);
  expect(printed).toMatchObject({ code: 0, stderr: '' });
  await writeFile(join(dir, 'dev.env'), printed.stdout);
  service = await startService({ ASSET_CONFIG_FILE: join(dir, 'dev.env') });
  env['ASSET_URL'] = service.url;
});

afterAll(async () => {
  await service?.dispose();
  await removeDir(dir);
});

const said = (code: number, stderr: RegExp) => ({
  code,
  stdout: '',
  stderr: expect.stringMatching(stderr) as unknown,
});
const idOf = ({ stdout }: Ended) => (JSON.parse(stdout) as { id: string }).id;

describe('a token for development', () => {
  it('makes a person of whoever has it, who reaches what is theirs', async () => {
    const [ann, bob, reader] = await Promise.all([
      token('--sub', 'ann'),
      token('--sub', 'bob'),
      token('--sub', 'rita', '--role', 'asset:read'),
    ]);
    await writeFile(join(dir, 'a.txt'), 'content');
    const id = idOf(await cli(['upload', 'a.txt', '--owner', 'ann', '--token', ann]));
    expect((await cli(['show', id], { ASSET_TOKEN: ann })).code).toBe(0);
    expect((await cli(['show', id, '--token', reader])).code).toBe(0);
    expect(await cli(['show', id, '--token', bob])).toMatchObject(said(1, /PERMISSION_DENIED: /));
    expect(await cli(['show', id])).toMatchObject(said(1, /UNAUTHENTICATED: CREDENTIALS_MISSING: /));
  });

  it('makes a service account, which acts for persons where it has the role', async () => {
    const [bff, plain, ann] = await Promise.all([
      token('--sub', 'bff', '--service', '--role', 'act-for-user'),
      token('--sub', 'plain', '--service'),
      token('--sub', 'ann'),
    ]);
    await using client = createWorkerClient({ baseUrl: service.url, token: bff, userToken: ann });
    const file = await client.uploadFile(Buffer.from('x'), { name: 'x', owner: 'ann' });
    expect(file.owner).toBe('ann');
    const acting = { ASSET_TOKEN: bff, ASSET_USER_TOKEN: ann };
    expect((await cli(['show', file.id], acting)).code).toBe(0);
    for (const args of [
      ['--token', plain, '--user-token', ann],
      ['--token', bff],
    ]) {
      expect(await cli(['show', file.id, ...args])).toMatchObject(said(1, /PERMISSION_DENIED: /));
    }
  });

  it('is signed by one key, whose private half nobody else may read', async () => {
    const first = decodeJwt(await token('--ttl', '60', '--role', 'read', '--role', 'write'));
    expect(first).toMatchObject({ sub: 'developer', aud: 'asset-service', scope: 'asset:read asset:write' });
    expect(first.exp! - first.iat!).toBe(60);
    const data = join(dir, 'data');
    const keys = (await readdir(data)).filter((name) => name.startsWith('dev-keys')).sort();
    expect(keys).toEqual(['dev-keys.json', 'dev-keys.json.private']);
    expect((await stat(join(data, 'dev-keys.json.private'))).mode & 0o777).toBe(0o600);
    expect(await readFile(join(data, 'dev-keys.json'), 'utf8')).not.toContain('"d"');
    // Two that are first at the same time agree on one.
    const path = join(dir, 'more keys', 'set.json');
    const both = await Promise.all([token('--keys', path), token('--keys', path)]);
    const kids = both.map((each) => JSON.parse(Buffer.from(each.split('.')[0]!, 'base64url').toString()).kid);
    expect(kids[0]).toBe(kids[1]);
    const { stdout } = await cli(['dev-token', '--settings', '--keys', path]);
    expect(stdout).toContain(`ASSET_OIDC_JWKS='${path}'\n`);
  });

  it('is refused where it could be used from elsewhere, or could not be used at all', async () => {
    const other = { ASSET_OIDC_ISSUER: 'https://issuer.example' };
    await writeFile(join(dir, 'foreign.json'), '{"keys":[{}]}');
    const cases: [string[], Record<string, string>, number, RegExp][] = [
      [['dev-token'], { ASSET_LISTEN: '0.0.0.0:8080' }, 1, /ASSET_LISTEN: .* loopback alone/],
      [['dev-token'], other, 1, /ASSET_OIDC_ISSUER: is https:\/\/issuer\.example/],
      [['dev-token', '--keys', 'foreign.json'], {}, 1, /foreign\.json is there already/],
      [['dev-token', '--role', 'owner'], {}, 2, /must be one of read, write/],
      [['dev-token', '--ttl', '0'], {}, 2, /whole number of seconds/],
      [
        ['serve'],
        { ASSET_CONFIG_FILE: join(dir, 'dev.env'), ASSET_LISTEN: '0.0.0.0:0' },
        1,
        /ASSET_LISTEN: with the tokens of .*dev-token.* it must be a loopback address/,
      ],
      [
        ['config', '--check'],
        { ASSET_CONFIG_FILE: join(dir, 'dev.env'), ASSET_OIDC_JWKS: '' },
        1,
        /ASSET_OIDC_JWKS: is required with the issuer of "asset-service dev-token"/,
      ],
    ];
    const ended = await Promise.all(cases.map(([args, more]) => cli(args, more)));
    for (const [index, [, , code, message]] of cases.entries())
      expect(ended[index]).toMatchObject(said(code, message));
    expect(await readFile(join(dir, 'foreign.json'), 'utf8')).toBe('{"keys":[{}]}');
  });
});
