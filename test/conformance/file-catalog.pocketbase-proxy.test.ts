import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type PocketBase from 'pocketbase';
import type { FileCatalog } from '../../src/catalog/file-catalog.ts';
import { openPocketBaseCatalog } from '../../src/catalog/pocketbase/pocketbase-catalog.ts';
import { loadConfig } from '../../src/config/config.ts';
import { explainFailure } from '../../src/config/explain.ts';
import { startFailingProxy, type FailingAnswer, type FailingProxy } from '../support/legacy/failing-proxy.ts';
import { startPocketBase, type PocketBaseServer } from '../support/pocketbase.ts';
import { adminOf } from './file-catalog/pocketbase-admin.ts';
import { createFile, getFile, newFile, newId, reserve } from './file-catalog/subject.ts';

const page = (status: number): FailingAnswer => ({
  ...{ status, headers: { 'content-type': 'text/html' } },
  body: `<html><head><title>${status}</title></head><body>nginx</body></html>`,
});
const json = (status: number, message: string): FailingAnswer => ({
  ...{ status, headers: { 'content-type': 'application/json' } },
  body: JSON.stringify({ status, message, data: {} }),
});

const ANSWERS: readonly (readonly [string, FailingAnswer, RegExp])[] = [
  ['502 with a page', page(502), /^ASSET_POCKETBASE_URL: .*HTTP 502 text\/html/],
  ['503 with a page', page(503), /^ASSET_POCKETBASE_URL: .*HTTP 503 text\/html/],
  ['504 with a page', page(504), /^ASSET_POCKETBASE_URL: .*HTTP 504 text\/html/],
  ['404 with a page', page(404), /^ASSET_POCKETBASE_URL: .*HTTP 404 text\/html/],
  ['413 with a page', page(413), /^ASSET_POCKETBASE_URL: .*HTTP 413 text\/html/],
  ['200 with a page', page(200), /^ASSET_POCKETBASE_URL: .*HTTP 200 text\/html/],
  ['429 of a rate limit', json(429, 'Too Many Requests.'), /429/],
  ['503 in JSON', json(503, 'upstream is down'), /503/],
  ['404 of a gateway in JSON', json(404, 'no Route matched with those values'), /404|has no collection/],
  ['403 of a firewall in JSON', json(403, 'blocked'), /403/],
];

describe('a PocketBase behind a proxy', () => {
  let server: PocketBaseServer;
  let admin: PocketBase;
  let proxy: FailingProxy;
  let catalog: FileCatalog;

  beforeAll(async () => {
    server = await startPocketBase();
    admin = await adminOf(server);
    proxy = await startFailingProxy(server.url);
    catalog = openPocketBaseCatalog({ url: proxy.url, email: server.email, password: server.password });
    await catalog.migrate();
  });
  afterEach(() => void (proxy.fail = undefined));
  afterAll(async () => {
    await catalog?.close();
    await proxy?.close();
    await server?.dispose();
  });

  /** Passes if the caller is told to try again, and the operator the cause in one line. */
  async function expectDown(name: string, call: () => Promise<unknown>, line: RegExp): Promise<void> {
    const error = await call().then(
      () => new Error('resolved'),
      (reason: Error) => reason,
    );
    expect([name, error]).toMatchObject([name, { reason: 'CATALOG_UNAVAILABLE', retryAfterMs: 1_000 }]);
    const config = loadConfig({
      ...{ ASSET_CATALOG: 'pocketbase', ASSET_POCKETBASE_URL: proxy.url },
      ...{ ASSET_POCKETBASE_EMAIL: server.email, ASSET_POCKETBASE_PASSWORD: server.password },
    });
    const text = explainFailure(error, config);
    expect([name, text]).toEqual([name, expect.stringMatching(line)]);
    expect(text).not.toContain(server.password);
  }

  it.each(ANSWERS)('is an outage while the proxy answers %s', async (_, answer, line) => {
    const file = await createFile(catalog);
    const fresh = newFile();
    const { id: reservationId } = await reserve(catalog, [fresh.id]);
    const requestKey = newId();
    const calls: Readonly<Record<string, () => Promise<unknown>>> = {
      get: () => catalog.get([file.id]),
      list: () => catalog.list({ filter: { owner: 'x' }, showDeleted: false, limit: 5 }),
      create: () => catalog.create(fresh, { reservationId, requestKey }),
      update: () => catalog.update(file.id, file.revision, { name: 'x' }),
      purge: () => catalog.purge(file.id, file.revision),
      reserve: () => catalog.uploads.reserve([newId()], new Date(Date.now() + 60_000)),
      findByRequestKey: () => catalog.findByRequestKey(requestKey),
      changes: () => catalog.changes.position('now'),
      check: () => catalog.check(),
    };
    for (const [name, call] of Object.entries(calls)) {
      proxy.fail = () => answer;
      await expectDown(name, call, line);
    }
    proxy.fail = undefined;
    expect((await getFile(catalog, file.id)).revision).toBe(file.revision);
    expect((await catalog.create(fresh, { reservationId, requestKey })).status).toBe('created');
  });

  it.each([page(502), json(503, 'upstream is down'), json(404, 'no Route matched')])(
    'stores nothing twice when the answer to a create is lost: %j',
    async (answer) => {
      const file = newFile();
      const requestKey = newId();
      const { id: reservationId } = await reserve(catalog, [file.id]);
      proxy.fail = (method, path) =>
        method === 'POST' && path.startsWith('/api/batch') ? { ...answer, isLate: true } : undefined;
      await catalog.create(file, { reservationId, requestKey }).catch((error: unknown) => {
        expect(error).toMatchObject({ reason: 'CATALOG_UNAVAILABLE' });
      });
      proxy.fail = undefined;
      expect((await catalog.findByRequestKey(requestKey))?.id).toBe(file.id);
      const other = newFile();
      const again = await reserve(catalog, [other.id]);
      const options = { reservationId: again.id, requestKey };
      expect((await catalog.create(other, options)).status).toBe('request-taken');
      const earliest = await catalog.changes.position('earliest');
      const { changes } = await catalog.changes.read(earliest, 1_000);
      expect(changes.filter(({ fileId }) => fileId === file.id)).toHaveLength(1);
    },
  );

  it('names the login while the password of the superuser is another, and goes on after it', async () => {
    const setPassword = async (password: string) => {
      const { items } = await admin.collection('_superusers').getList(1, 1);
      const passwords = { password, passwordConfirm: password };
      await admin.collection('_superusers').update(items[0]!.id, passwords);
      await admin.collection('_superusers').authWithPassword(server.email, password);
    };
    const file = await createFile(catalog);
    await setPassword('another-password-1');
    const login = /^ASSET_POCKETBASE_EMAIL, ASSET_POCKETBASE_PASSWORD: .*refuses the login.*HTTP 400/;
    await expectDown('get', () => catalog.get([file.id]), login);
    await expectDown('create', () => createFile(catalog), login);
    await expectDown('check', () => catalog.check(), login);
    await setPassword(server.password);
    expect((await getFile(catalog, file.id)).revision).toBe(file.revision);
  });
});
