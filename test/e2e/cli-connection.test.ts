import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Authority, type Certificate } from '../support/certificates.ts';
import { freePort } from '../support/ports.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';
import { endOf, runCli, startCli, type Ended } from './support/cli.ts';

let dir: string;
let service: Service;
let secure: Service;
let authority: Authority;
let stranger: Authority;
let worker: Certificate;

beforeAll(async () => {
  dir = await makeDir('cli-connection');
  authority = await Authority.create(dir, 'authority');
  stranger = await Authority.create(dir, 'stranger');
  worker = await authority.issue('worker');
  const server = await authority.issue('server', {
    alternativeNames: ['IP.1 = 127.0.0.1', 'DNS.1 = localhost'],
  });
  await writeFile(join(dir, 'a.txt'), 'content');
  [service, secure] = await Promise.all([
    startService(),
    startService({
      ASSET_AUTH: 'mtls',
      ASSET_TLS_CERT: server.certPath,
      ASSET_TLS_KEY: server.keyPath,
      ASSET_TLS_CLIENT_CA: authority.certificate.certPath,
      ASSET_MTLS_PRINCIPALS: JSON.stringify({ 'CN:worker': { id: 'worker', roles: ['asset:admin'] } }),
    }),
  ]);
});

afterAll(async () => {
  await Promise.all([service?.dispose(), secure?.dispose()]);
  await removeDir(dir);
});

const cli = (args: readonly string[], env: Record<string, string> = {}) => runCli(args, { cwd: dir, env });
const idOf = ({ stdout }: Ended) => (JSON.parse(stdout) as { id: string }).id;
const said = (code: number, stderr: RegExp) => ({
  code,
  stdout: '',
  stderr: expect.stringMatching(stderr) as unknown,
});

describe('where the service is', () => {
  it('may be said without a scheme, by --url or by ASSET_URL', async () => {
    const places = [`localhost:${service.port}`, `127.0.0.1:${service.port}`, `${service.url}/`];
    const ended = await Promise.all([
      ...places.map((place) => cli(['list', '-u', place])),
      ...places.map((place) => cli(['list'], { ASSET_URL: place })),
      cli(['health', '-u', `localhost:${service.port}`]),
    ]);
    for (const each of ended) expect(each).toMatchObject({ code: 0, stderr: '' });
  });

  it('may be no address of another kind', async () => {
    const message = /^asset-service: --url ftp:\/\/127\.0\.0\.1: must be an http or https address/;
    expect(await cli(['list', '-u', 'ftp://127.0.0.1'])).toMatchObject(said(2, message));
  });

  it('is told at once where nothing listens, with what to do', async () => {
    const port = await freePort();
    const nobody =
      /^asset-service: UNAVAILABLE: CONNECTION_LOST: the service at http:\/\/127\.0\.0\.1:\d+ cannot be reached: nothing listens there \(ECONNREFUSED\).* --url or ASSET_URL\n$/;
    for (const args of [['list'], ['upload', 'a.txt']]) {
      expect(await cli([...args, '-u', `127.0.0.1:${port}`])).toMatchObject(said(1, nobody));
    }
    expect(await cli(['list', '-u', 'http://nowhere.invalid'])).toMatchObject(said(1, /no such host/));
    // Before anything is sent.
    const open = ['list', '-u', 'http://nowhere.invalid', '--token', 'x'];
    expect(await cli(open)).toMatchObject(said(1, /TOKEN_NOT_PROTECTED: .*--allow-tokens-over-http/));
    expect(await cli([...open, '--allow-tokens-over-http'])).toMatchObject(said(1, /no such host/));
  });

  it('is told while a call is tried again', async () => {
    const closing = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
    await once(closing, 'listening');
    try {
      const url = `127.0.0.1:${(closing.address() as AddressInfo).port}`;
      const child = startCli(['list', '-u', url], { cwd: dir });
      child.stdin!.end();
      const ended = endOf(child);
      const first = await new Promise<string>((resolve) => child.stderr!.once('data', resolve));
      expect(first).toMatch(/^asset-service: UNAVAILABLE: CONNECTION_LOST: .*; trying again in \d+\.\d s\n/);
      child.kill('SIGINT');
      expect(await ended).toMatchObject({ code: 'SIGINT', stdout: '' });
    } finally {
      closing.close();
    }
  });
});

describe('the transport', () => {
  it.each(['grpc', 'connect', 'grpc-web'])('may be %s', async (transport) => {
    const flags = ['-u', service.url, '--transport', transport];
    const id = idOf(await cli(['upload', 'a.txt', ...flags]));
    const got = await cli(['download', id, '-o', '-', ...flags]);
    expect(got).toEqual({ code: 0, stdout: 'content', stderr: '' });
  });

  it('may be no other', async () => {
    expect(await cli(['list', '--transport', 'smtp'])).toMatchObject(said(2, /grpc, connect, grpc-web/));
  });

  it('is TLS with certificates, over any protocol', async () => {
    const tls = ['--ca', authority.certificate.certPath, '--cert', worker.certPath, '--key', worker.keyPath];
    const at = ['-u', `localhost:${secure.port}`];
    for (const transport of ['grpc', 'connect']) {
      const id = idOf(await cli(['upload', 'a.txt', '--transport', transport, ...at, ...tls]));
      expect(await cli(['show', id, ...at, ...tls])).toMatchObject({ code: 0, stderr: '' });
    }
    expect(await cli(['health', ...at, ...tls])).toEqual({ code: 0, stdout: 'SERVING\n', stderr: '' });
  });

  it('is told at once where certificates do not fit', async () => {
    const { certPath } = worker;
    const ca = authority.certificate.certPath;
    const wrong: [string[], number, RegExp][] = [
      [['-u', secure.url], 1, /TLS_FAILED: .*not trusted \(\w+\).*--ca/],
      [['-u', secure.url, '--ca', stranger.certificate.certPath], 1, /not trusted/],
      [['-u', service.url.replace('http:', 'https:'), '--ca', ca], 1, /TLS_FAILED: .*does not speak TLS/],
      [['-u', secure.url, '--cert', certPath], 2, /--cert and --key go together/],
      [['-u', secure.url, '--ca', 'none.pem'], 2, /--ca none\.pem: cannot be read \(ENOENT\)/],
      [['-u', service.url, '--ca', ca], 2, /are for https/],
      // Nobody may call without a certificate.
      [['-u', secure.url, '--ca', ca], 1, /UNAUTHENTICATED: CREDENTIALS_MISSING: /],
    ];
    const ended = await Promise.all(wrong.map(([args]) => cli(['list', ...args])));
    for (const [index, [, code, message]] of wrong.entries())
      expect(ended[index]).toMatchObject(said(code, message));
  });
});

describe('several ids', () => {
  it('are shown, signed, deleted and brought back, in their order and past those that fail', async () => {
    const at = ['-u', service.url];
    const upload = async (owner: string) => idOf(await cli(['upload', 'a.txt', '--owner', owner, ...at]));
    const ids = await Promise.all([upload('ann'), upload('bob')]);
    const missing = 'missing00000000';
    const args = [ids[0], missing, ids[1], ids[0]];
    const lines = ({ stdout }: Ended) => stdout.trim().split('\n');
    const failed = new RegExp(`^asset-service: ${missing}: NOT_FOUND: FILE_NOT_FOUND: [^\\n]+\\n$`);
    for (const command of ['show', 'url', 'delete', 'undelete']) {
      const ended = await cli([command, ...args, '--json', ...at]);
      expect(ended).toMatchObject({ code: 1, stderr: expect.stringMatching(failed) as unknown });
      expect(lines(ended).map((line) => (JSON.parse(line) as { id: string }).id)).toEqual(ids);
    }
    const urls = lines(await cli(['url', ...ids, ...at]));
    expect(await Promise.all(urls.map(async (url) => (await fetch(url)).text()))).toEqual([
      'content',
      'content',
    ]);
    expect(await cli(['delete', ...ids, '--etag', '1', ...at])).toMatchObject(
      said(2, /--etag is for one file alone/),
    );
  });

  it('of a single file are printed indented, and with --json on one line', async () => {
    const at = ['-u', service.url];
    const id = idOf(await cli(['upload', 'a.txt', ...at]));
    const [pretty, line] = await Promise.all([cli(['get', id, ...at]), cli(['show', id, '--json', ...at])]);
    expect(pretty.stdout).toMatch(new RegExp(`^\\{\\n {2}"id": "${id}",\\n`));
    expect(line.stdout).toBe(`${JSON.stringify(JSON.parse(pretty.stdout))}\n`);
  });
});

describe('the help', () => {
  it('tells of the environment, and of uploads that are safe to repeat', async () => {
    const [root, upload] = await Promise.all([cli(['--help']), cli(['upload', '--help'])]);
    for (const name of ['ASSET_URL', 'ASSET_TOKEN', 'ASSET_TOKEN_FILE', 'ASSET_USER_TOKEN']) {
      expect(root.stdout).toContain(name);
    }
    const words = upload.stdout.replaceAll(/\s+/g, ' ');
    expect(words).toContain('stores nothing twice');
    expect(words).toContain('In folders each file has an id of its own');
    expect(words).toContain('ASSET_URL');
  });
});
