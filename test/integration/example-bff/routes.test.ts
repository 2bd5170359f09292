import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createBffClient } from '@asset-service/bff';
import { randomBytes } from 'node:crypto';
import sharp from 'sharp';
import { runCli } from '../../e2e/support/cli.ts';
import { eventually } from '../../support/eventually.ts';
import { makeDir, removeDir } from '../../support/process.ts';
import {
  settingsFor,
  startBff,
  startDevelopmentService,
  type Bff,
  type DevelopmentService,
} from './support/bff.ts';
import { Person, type Answered } from './support/person.ts';
import { picture } from './support/picture.ts';

/** The smallest PNG. */
const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);

let dir: string;
let development: DevelopmentService;
let bff: Bff;
let ann: Person;
let bob: Person;

beforeAll(async () => {
  dir = await makeDir('example-bff');
  development = await startDevelopmentService(dir);
  bff = await startBff(settingsFor(development));
  [ann, bob] = await Promise.all([Person.signedIn(bff.url, 'ann'), Person.signedIn(bff.url, 'bob')]);
});

afterAll(async () => {
  await bff?.dispose();
  await development?.service.dispose();
  await removeDir(dir);
});

/** Uploads a file of Ann's and returns it. */
async function uploaded(
  bytes: string | Uint8Array = 'content',
  name = 'a.txt',
  type = 'text/plain',
  usage?: string,
) {
  const { status, json } = await ann.upload(bytes, name, type, usage);
  expect(status).toBe(201);
  return json.files[0];
}

describe('sessions', () => {
  it('keeps who is signed in an encrypted cookie that scripts cannot read', async () => {
    const person = new Person(bff.url);
    const signIn = await person.ask('/sign-in', {
      method: 'POST',
      body: { user: 'carl', returnTo: '/?usage=picture' },
    });
    expect(signIn.json).toEqual({ returnTo: '/?usage=picture' });
    const cookie = signIn.headers.getSetCookie().join();
    expect(cookie).toMatch(/^session=.*; HttpOnly; SameSite=Lax/i);
    expect(Buffer.from(cookie.slice(8), 'base64').toString('latin1')).not.toContain('carl');
    const session = await person.readSession();
    expect(session.json).toMatchObject({ user: { id: 'carl', name: 'carl' }, settings: { sharing: true } });
    expect(session.headers.get('cache-control')).toBe('no-store');

    const out = await person.ask('/sign-out', { method: 'POST' });
    expect([out.status, out.json]).toEqual([200, { goTo: '/sign-in' }]);
    expect((await person.readSession()).json.user).toBeNull();
  });

  it('goes back only to its own pages after a sign-in', async () => {
    for (const returnTo of [
      'https://evil.example',
      '//evil.example',
      '/\\evil.example',
      7,
      'javascript:alert(1)',
    ]) {
      const { json } = await new Person(bff.url).ask('/sign-in', {
        method: 'POST',
        body: { user: 'eve', returnTo },
      });
      expect(json).toEqual({ returnTo: '/' });
    }
  });

  it('asks for a sign-in, in the language of the browser', async () => {
    const nobody = new Person(bff.url);
    for (const path of ['/api/files', '/api/files/aaaaaaaaaaaaaaa', '/files/aaaaaaaaaaaaaaa']) {
      const answer = await nobody.ask(path, { headers: { 'accept-language': 'fr, de-AT;q=0.9, en;q=0.5' } });
      expect(answer.status).toBe(401);
      expect(answer.json.error).toMatchObject({
        reason: 'SIGN_IN_REQUIRED',
        message: 'Melden Sie sich an, um Ihre Dateien zu sehen.',
      });
      expect(answer.headers.get('cache-control')).toBe('no-store');
    }
    const damaged = await nobody.ask('/api/files', {
      headers: { cookie: `session=${ann.cookie.slice(8, -4)}AAAA` },
    });
    expect(damaged.status).toBe(401);
  });

  it('refuses requests that other sites make a browser send', async () => {
    const forged: Record<string, string>[] = [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { 'x-csrf-token': '' },
      { 'x-csrf-token': 'a'.repeat(32) },
      { 'x-csrf-token': bob.csrf },
    ];
    const file = await uploaded();
    for (const headers of forged) {
      for (const [method, path] of [
        ['DELETE', `/api/files/${file.id}`],
        ['POST', `/api/files/${file.id}/shares`],
        ['POST', '/sign-out'],
      ] as const) {
        const answer = await ann.ask(path, { method, headers });
        expect([answer.status, answer.json.error.reason]).toEqual([403, 'REQUEST_FORGED']);
      }
    }
    expect((await ann.ask(`/api/files/${file.id}`)).json.deleteTime).toBeUndefined();
    const signIn = await new Person(bff.url).ask('/sign-in', {
      ...{ method: 'POST', body: { user: 'eve' }, headers: { origin: 'https://evil.example' } },
    });
    expect(signIn.status).toBe(403);
  });

  it('sends security headers with every answer', async () => {
    for (const path of ['/api/session', '/api/files', '/nowhere', '/s/none']) {
      const { headers } = await ann.ask(path);
      const policy = headers.get('content-security-policy')!;
      expect(policy).toContain("default-src 'none'");
      expect(policy).toContain("frame-ancestors 'none'");
      expect(policy).not.toContain('unsafe');
      expect(policy).toContain(`img-src 'self' blob: data: ${development.service.url}`);
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('referrer-policy')).toBe('no-referrer');
    }
  });
});

describe('files', () => {
  it('stores what a form sends, as a file of whoever is signed in', async () => {
    const bytes = randomBytes(3 * 1024 * 1024);
    const file = await uploaded(bytes, 'Größe 1.bin', 'application/octet-stream');
    expect(file).toMatchObject({
      name: 'Größe 1.bin',
      owner: 'ann',
      usage: 'document',
      sizeBytes: bytes.length,
    });
    const redirect = await ann.ask(`/files/${file.id}`);
    const read = await fetch(redirect.headers.get('location')!);
    expect(Buffer.from(await read.arrayBuffer()).equals(bytes)).toBe(true);
  });

  it('says what is wrong with a form, and keeps what was stored before', async () => {
    const cases: [() => Promise<Answered>, number, string, RegExp][] = [
      [
        () => ann.upload('no image', 'a.png', 'image/png', 'picture'),
        415,
        'CONTENT_TYPE_MISMATCH',
        /not what its name says/,
      ],
      [
        () => ann.upload('<p>', 'a.html', 'text/html', 'picture'),
        415,
        'CONTENT_TYPE_NOT_ALLOWED',
        /not accepted/,
      ],
      [
        () => ann.upload(Buffer.concat([PNG, Buffer.alloc(3 << 20)]), 'b.png', 'image/png', 'picture'),
        ...([413, 'FILE_TOO_LARGE', /larger than 2 MiB/] as [number, string, RegExp]),
      ],
      [() => ann.upload('x', 'a.txt', 'text/plain', 'secret'), 400, 'USAGE_UNKNOWN', /what the file is for/],
      [
        () => ann.ask('/api/files', { method: 'POST', body: new FormData() }),
        400,
        'REQUEST_INVALID',
        /not valid/,
      ],
    ];
    for (const [ask, status, reason, message] of cases) {
      const answer = await ask();
      expect([answer.status, answer.json.error.reason]).toEqual([status, reason]);
      expect(answer.json.error.message).toMatch(message);
    }
    const form = new FormData();
    form.append('usage', 'picture');
    form.append('file', new Blob([PNG], { type: 'image/png' }), 'first.png');
    form.append('file', new Blob(['<p>'], { type: 'text/html' }), 'second.html');
    expect((await ann.ask('/api/files', { method: 'POST', body: form })).status).toBe(415);
    const { json } = await ann.ask('/api/files?usage=picture&owner=ann');
    expect(json.files.map(({ name }: { name: string }) => name)).toEqual(['first.png']);
  });

  it('lists files in pages, by usage and owner, and says when nothing has changed', async () => {
    for (const name of ['one', 'two', 'three']) await uploaded(PNG, `${name}.png`, 'image/png', 'picture');
    const first = await ann.ask('/api/files?usage=picture&owner=ann&pageSize=2');
    expect(first.json.files.map(({ name }: { name: string }) => name)).toEqual(['three.png', 'two.png']);
    const token = encodeURIComponent(first.json.nextPageToken);
    const second = await ann.ask(`/api/files?usage=picture&owner=ann&pageSize=2&pageToken=${token}`);
    expect(second.json.files[0].name).toBe('one.png');
    expect(first.headers.get('cache-control')).toBe('private, no-cache');
    const etag = first.headers.get('etag')!;
    const again = await ann.ask('/api/files?usage=picture&owner=ann&pageSize=2', {
      headers: { 'if-none-match': etag },
    });
    expect([again.status, again.text]).toEqual([304, '']);
    // Pictures are open to everybody who is signed in; documents are not.
    await uploaded('secret', 'secret.txt');
    expect((await bob.ask('/api/files?owner=ann&usage=picture')).json.files.length).toBeGreaterThan(0);
    expect((await bob.ask('/api/files?owner=ann&usage=document')).json.files).toEqual([]);
    for (const query of ['pageSize=0', 'pageSize=201', 'pageSize=x', 'sort=name', 'pageToken=damaged'])
      expect((await ann.ask(`/api/files?${query}`)).status).toBe(400);
  });

  it('redirects to a URL that the browser may keep while it works', async () => {
    const { id } = await uploaded(PNG, 'photo.png', 'image/png', 'picture');
    const answer = await ann.ask(`/files/${id}/photo.png`);
    expect(answer.status).toBe(302);
    const { headers } = answer;
    const location = headers.get('location')!;
    expect(new URL(location).origin).toBe(development.service.url);
    const maxAge = Number(/^private, max-age=(\d+)$/.exec(headers.get('cache-control')!)![1]);
    const { exp } = Object.fromEntries(new URL(location).searchParams) as { exp?: string };
    expect(maxAge).toBeLessThan(900);
    if (exp !== undefined) expect(Date.now() / 1000 + maxAge).toBeLessThan(Number(exp));
    expect(headers.get('vary')).toMatch(/cookie/i);
    expect(headers.get('etag')).toMatch(/^"[\w-]+"$/);
    expect((await fetch(location)).headers.get('content-disposition')).toMatch(/^inline/);
    const download = (await ann.ask(`/files/${id}?download=1`)).headers.get('location')!;
    expect((await fetch(download)).headers.get('content-disposition')).toMatch(/^attachment.*photo\.png/);
  });

  it('redirects to a smaller image in the format that the browser accepts', async () => {
    const { id } = await uploaded(picture(900, 600, 5), 'wide.png', 'image/png', 'picture');
    const smaller = (accept: string, variant = 'thumb') =>
      ann.ask(`/files/${id}/wide.png?variant=${variant}`, { headers: { accept } });
    const webp = await smaller('image/webp,*/*');
    expect([webp.status, webp.headers.get('vary')]).toEqual([302, 'cookie, accept']);
    const bytes = Buffer.from(await (await fetch(webp.headers.get('location')!)).arrayBuffer());
    expect(await sharp(bytes).metadata()).toMatchObject({ format: 'webp', width: 480, height: 360 });
    const jpeg = await fetch((await smaller('*/*')).headers.get('location')!);
    expect(jpeg.headers.get('content-type')).toBe('image/jpeg');
    expect((await smaller('*/*', 'other')).status).toBe(400);
    expect((await smaller('*/*', '../x')).status).toBe(400);
    const { json } = await ann.ask(`/api/files/${id}`);
    expect(json).toMatchObject({ variants: ['page', 'thumb'], thumbhash: expect.stringMatching(/^.{20,}$/) });
    const text = await uploaded('text', 'text.txt');
    const none = await ann.ask(`/files/${text.id}?variant=thumb`, { headers: { 'accept-language': 'en' } });
    expect([none.status, none.json.error.reason, none.json.error.message]).toEqual([
      ...[409, 'VARIANT_IMPOSSIBLE', 'There is no preview of this file.'],
    ]);
  });

  it("tells nobody about another person's file", async () => {
    const { id, etag } = await uploaded('secret', 'secret.txt');
    for (const [method, path] of [
      ['GET', `/api/files/${id}`],
      ['GET', `/files/${id}`],
      ['PATCH', `/api/files/${id}`],
      ['DELETE', `/api/files/${id}`],
      ['POST', `/api/files/${id}/restore`],
      ['POST', `/api/files/${id}/shares`],
    ] as const) {
      for (const target of [path, path.replace(id, 'aaaaaaaaaaaaaaa')]) {
        const answer = await bob.ask(target, {
          method,
          headers: { 'if-match': `"${etag}"` },
          ...(method === 'PATCH' && { body: { name: 'mine' } }),
        });
        expect([target, answer.status, answer.json.error.reason]).toEqual([target, 403, 'PERMISSION_DENIED']);
        expect(answer.json.error.message).toBe('This file does not exist, or it is not yours.');
        expect(answer.text).not.toContain(development.service.url);
      }
    }
  });

  it('changes what the person saw, and nothing else', async () => {
    const file = await uploaded();
    const change = (body: object, etag: string = file.etag) =>
      ann.ask(`/api/files/${file.id}`, { method: 'PATCH', body, headers: { 'if-match': `"${etag}"` } });
    const changed = await change({ name: 'b.txt', attributes: { title: 'Title' } });
    expect(changed.json).toMatchObject({ name: 'b.txt', attributes: { title: 'Title' } });
    const late = await change({ name: 'c.txt' });
    expect([late.status, late.json.error.reason]).toEqual([412, 'ETAG_MISMATCH']);
    const { etag } = changed.json;
    expect((await ann.ask(`/api/files/${file.id}`, { method: 'PATCH', body: { name: 'x' } })).status).toBe(
      428,
    );
    for (const body of [
      {},
      { owner: 'bob' },
      { attributes: { hidden: 1 } },
      { usage: 'secret' },
      { relations: {} },
    ])
      expect((await change(body, etag)).status).toBe(400);
    expect((await ann.ask(`/api/files/${file.id}`)).json).toMatchObject({
      owner: 'ann',
      name: 'b.txt',
      etag,
    });
  });

  it('passes addresses of the old system to the service, as the person who asks', async () => {
    const path = '/storage/a-collection/a-record/photo.png?w=100';
    expect((await new Person(bff.url).ask(path)).status).toBe(401);
    const unknown = await ann.ask(path);
    expect([unknown.status, unknown.text]).toEqual([400, '']);
    expect(unknown.headers.get('cache-control')).toBe('no-store');
    // This service has no old bucket.
    const logged = { rpc: 'GetFileUrl', end_user: 'ann', code: 'INVALID_ARGUMENT' };
    await eventually(() =>
      expect(development.service.logLines()).toContainEqual(expect.objectContaining(logged)),
    );
  });

  it('deletes and restores', async () => {
    const { id } = await uploaded('gone', 'gone.txt');
    const deleted = await ann.ask(`/api/files/${id}`, { method: 'DELETE' });
    expect(Date.parse(deleted.json.purgeTime)).toBeGreaterThan(Date.now());
    expect((await ann.ask(`/files/${id}`)).status).toBe(404);
    const listed = async (query: string) => (await ann.ask(`/api/files?${query}`)).text.includes(id);
    expect([await listed('owner=ann'), await listed('owner=ann&deleted=true')]).toEqual([false, true]);
    expect((await ann.ask(`/api/files/${id}/restore`, { method: 'POST' })).status).toBe(200);
    expect((await ann.ask(`/files/${id}`)).status).toBe(302);
  });
});

describe('links for everybody', () => {
  const share = (id: string, body: object = {}) =>
    ann.ask(`/api/files/${id}/shares`, { method: 'POST', body });

  it('lead to the file for as long as they say', async () => {
    const { id } = await uploaded('shared', 'shared.txt');
    const { status, json } = await share(id, { expiresInSeconds: 3600 });
    expect(status).toBe(201);
    expect(json.url).toMatch(new RegExp(`^${bff.url}/s/`));
    expect(Math.abs(Date.parse(json.expireTime) - Date.now() - 3_600_000)).toBeLessThan(60_000);
    const nobody = new Person(bff.url);
    const opened = await nobody.ask(new URL(json.url).pathname);
    expect([opened.status, opened.headers.get('cache-control')]).toEqual([302, 'no-store']);
    expect(await (await fetch(opened.headers.get('location')!)).text()).toBe('shared');

    const [head, payload, signature] = json.url.split('/s/')[1].split('.');
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
    const changed = (more: object) =>
      Buffer.from(JSON.stringify({ ...claims, ...more })).toString('base64url');
    const unsigned = Buffer.from('{"alg":"none"}').toString('base64url');
    for (const token of [
      [head, changed({ exp: claims.exp + 9 }), signature],
      [head, changed({ file: 'aaaaaaaaaaaaaaa' }), signature],
      [unsigned, payload, ''],
      ['x'],
    ]) {
      const answer = await nobody.ask(`/s/${token.join('.')}`);
      expect([answer.status, answer.json.error.reason]).toEqual([404, 'SHARE_ENDED']);
    }
    await ann.ask(`/api/files/${id}`, { method: 'DELETE' });
    expect((await nobody.ask(new URL(json.url).pathname)).status).toBe(404);
    // Who opens it in a browser reads why.
    const headers = { accept: 'text/html,*/*;q=0.8', 'accept-language': 'de' };
    for (const path of [new URL(json.url).pathname, '/s/<b>']) {
      const page = await nobody.ask(path, { headers });
      expect([page.status, page.headers.get('content-type')]).toEqual([404, 'text/html; charset=utf-8']);
      expect(page.headers.get('cache-control')).toBe('no-store');
      expect(page.text).toContain('<h1>Diesen Link gibt es nicht, oder er ist abgelaufen.');
    }
  });

  it('end when the file gets another owner', async () => {
    const { id, etag } = await uploaded('given away', 'given.txt');
    const link = new URL((await share(id)).json.url).pathname;
    const nobody = new Person(bff.url);
    expect((await nobody.ask(link)).status).toBe(302);
    const roles = ['--service', '--role', 'asset:read', '--role', 'asset:write'];
    const { stdout } = await runCli(['dev-token', '--keys', development.keyFile, ...roles], { cwd: dir });
    const admin = createBffClient({ baseUrl: development.service.url, token: stdout.trim() });
    try {
      await admin.updateMetadata(id, { owner: 'bob' }, { etag });
    } finally {
      admin.close();
    }
    const answer = await nobody.ask(link);
    expect([answer.status, answer.json.error.reason]).toEqual([404, 'SHARE_ENDED']);
  });

  it('are made by the owner alone, within bounds', async () => {
    const { id } = await uploaded(PNG, 'open.png', 'image/png', 'picture');
    expect((await bob.ask(`/api/files/${id}`)).status).toBe(200);
    expect((await bob.ask(`/api/files/${id}/shares`, { method: 'POST', body: {} })).status).toBe(404);
    for (const expiresInSeconds of [0, 59, 31 * 86_400, 'week'])
      expect((await share(id, { expiresInSeconds })).status).toBe(400);
  });
});

describe('requests that cannot be meant so', () => {
  it('are answered as JSON that says why, without anything internal', async () => {
    const cases: [string, object, number][] = [
      ['/nowhere', {}, 404],
      ['/api/files/%', {}, 400],
      [`/api/files/${'a'.repeat(300)}`, {}, 400],
      ['/api/files/x', { method: 'PATCH', body: [], headers: { 'if-match': '"x"' } }, 400],
      [
        '/api/files',
        { method: 'POST', body: Buffer.from('x'), headers: { 'content-type': 'text/plain' } },
        415,
      ],
      ['/sign-in', { method: 'POST', body: { user: '' } }, 400],
    ];
    for (const [path, asked, status] of cases) {
      const answer = await ann.ask(path, asked);
      expect([path, answer.status]).toEqual([path, status]);
      expect(answer.json.error).toMatchObject({
        status,
        message: expect.any(String),
        requestId: expect.any(String),
      });
      expect(answer.text).not.toMatch(/node_modules|\.ts:|127\.0\.0\.1/);
    }
  });

  it('tell when the service is down, and go on when it is back', async () => {
    await development.service.stop();
    const answer = await ann.ask('/api/files');
    expect([answer.status, answer.json.error.reason]).toEqual([503, 'CONNECTION_LOST']);
    expect(answer.json.error.detail).toBeUndefined();
    await development.service.start();
    expect((await ann.ask('/api/files')).status).toBe(200);
  });
});
