import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFile, rename } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { AUDIENCE, startIssuer, type Issuer } from '../support/issuer.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';
import { clientOf, randomContent, spec, upload, type AssetClient } from './support/calls.ts';
import { eventually } from '../support/eventually.ts';
import { failureOf } from './support/failures.ts';

type Line = Record<string, unknown>;

describe('the audit log', () => {
  let dir: string;
  let path: string;
  let issuer: Issuer;
  let service: Service;
  let client: AssetClient;
  /** What came to a collector of OpenTelemetry. */
  let collector: Server;
  const collected: string[] = [];

  beforeAll(async () => {
    dir = await makeDir('audit');
    path = join(dir, 'logs', 'audit.log');
    issuer = await startIssuer();
    collector = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        collected.push(`${request.url} ${Buffer.concat(chunks).toString()}`);
        response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
      });
    });
    await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
    service = await startService({
      ASSET_AUTH: 'oidc',
      ASSET_OIDC_ISSUER: issuer.url,
      ASSET_OIDC_AUDIENCE: AUDIENCE,
      ASSET_AUDIT_LOG: path,
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(collector.address() as AddressInfo).port}`,
      OTEL_BLRP_SCHEDULE_DELAY: '100',
    });
    client = clientOf(service.url);
  });

  afterAll(async () => {
    await service?.dispose();
    await issuer?.dispose();
    collector?.close();
    await removeDir(dir);
  });

  const bearer = async (sub: string, scope = '') => ({
    authorization: `Bearer ${await issuer.token({ sub, scope })}`,
  });

  async function lines(): Promise<Line[]> {
    const text = await readFile(path, 'utf8').catch(() => '');
    return text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Line);
  }

  /** The line of a decision, once it is there. */
  const line = (wanted: Line) =>
    eventually(async () => {
      const found = (await lines()).filter((one) => Object.entries(wanted).every(([k, v]) => one[k] === v));
      expect(found).toHaveLength(1);
      return found[0]!;
    });

  it('has caller, action, file, end user and the rule that allowed it', async () => {
    const headers = {
      ...(await bearer('bff', 'asset:act-for-user')),
      'asset-user-token': await issuer.token({ sub: 'alice' }),
    };
    const file = await upload(client, randomContent(100), {
      headers: { ...headers, 'x-request-id': 'up-1' },
    });
    expect(file.owner).toBe('alice');
    expect(await line({ request_id: 'up-1', action: 'upload' })).toEqual({
      ...{ time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/), msg: 'audit' },
      ...{ action: 'upload', allowed: true, why: 'owner', request_id: 'up-1' },
      ...{ principal: 'bff', end_user: 'alice' },
    });
    expect(await line({ request_id: 'up-1', action: 'store' })).toMatchObject({
      file_id: file.id,
      bytes: 100,
    });
    await client.deleteFile({ fileId: file.id }, { headers: { ...headers, 'x-request-id': 'del-1' } });
    expect(await line({ request_id: 'del-1' })).toMatchObject({
      ...{ action: 'delete', allowed: true, why: 'owner', file_id: file.id, end_user: 'alice' },
    });
  });

  it('records what was denied, also for files that do not exist', async () => {
    const headers = { ...(await bearer('mallory')), 'x-request-id': 'no-1' };
    const failure = await failureOf(client.getFile({ fileId: 'a'.repeat(15) }, { headers }));
    expect(failure.code).toBe('PERMISSION_DENIED');
    expect(await line({ request_id: 'no-1' })).toMatchObject({
      ...{ action: 'read', allowed: false, why: 'nobody', principal: 'mallory', file_id: 'a'.repeat(15) },
    });
  });

  it.each(['batchGetFiles', 'batchGetFileUrls'] as const)(
    'has one line for all the files that %s asks for and that there are not',
    async (rpc) => {
      const theirs = await upload(client, randomContent(100), { headers: await bearer('carol') });
      const ids = [theirs.id, ...Array.from({ length: 90 }, (_none, i) => `nosuchfile${10000 + i}`)];
      const requests = ids.map((value) => ({ source: { case: 'fileId' as const, value } }));
      for (const [who, scope, allowed] of [
        ['mallory', '', false],
        ['reader', 'asset:read', true],
      ] as const) {
        const headers = { ...(await bearer(who, scope)), 'x-request-id': `${rpc}-${who}` };
        if (rpc === 'batchGetFiles') await client.batchGetFiles({ fileIds: ids }, { headers });
        else await client.batchGetFileUrls({ requests }, { headers });
        // The line about the file that there is stands beside it.
        expect(await line({ request_id: headers['x-request-id'], unknown_files: 90 })).toMatchObject({
          ...{ action: 'read', allowed, principal: who },
        });
        const all = (await lines()).filter((one) => one['request_id'] === headers['x-request-id']);
        expect(all).toHaveLength(2);
        expect(all.filter((one) => one['file_id'] === theirs.id)).toHaveLength(1);
      }
    },
  );

  it('names each grant as its URL does', async () => {
    const owner = await bearer('bob');
    const file = await upload(client, randomContent(100), { headers: owner });
    const { url, expireTime } = await client.getFileUrl(
      { source: { case: 'fileId', value: file.id } },
      { headers: { ...owner, 'x-request-id': 'url-1' } },
    );
    const grant = await line({ request_id: 'url-1' });
    expect(grant).toMatchObject({ action: 'grant', allowed: true, why: 'owner', file_id: file.id });
    expect([...new URL(url).searchParams.values()]).toContain(grant['grant_id']);
    expect(Date.parse(String(grant['expires']))).toBe(Number(expireTime!.seconds) * 1000);
  });

  it('records failed authentications without their unproven claims', async () => {
    const forged = `${await issuer.token({ sub: 'root' })}x`;
    const headers = { authorization: `Bearer ${forged}`, 'x-request-id': 'who-1' };
    await failureOf(client.listFiles({}, { headers }));
    const refused = await line({ request_id: 'who-1' });
    expect(refused).toMatchObject({
      ...{ action: 'authenticate', allowed: false, why: 'CREDENTIALS_INVALID', rpc: 'ListFiles' },
    });
    expect(refused).not.toHaveProperty('principal');
  });

  it('has a line for every refused call', async () => {
    const headers = { ...(await bearer('carol')), 'x-request-id': 'type-1' };
    const wanted = spec({ contentType: 'image/png' }, { sizeBytes: 6n });
    const pdf = new Uint8Array(Buffer.from('%PDF-1'));
    async function* messages() {
      yield { ...wanted, data: { content: pdf }, finishWrite: true };
    }
    const failure = await failureOf(client.upload(messages(), { headers }));
    expect(failure.reason).toBe('CONTENT_TYPE_MISMATCH');
    expect(await line({ request_id: 'type-1', allowed: false })).toMatchObject({
      ...{ action: 'upload', why: 'CONTENT_TYPE_MISMATCH', principal: 'carol' },
    });
  });

  it('goes to OpenTelemetry as well', async () => {
    await eventually(() => {
      const all = collected.join('\n');
      expect(all).toContain('/v1/logs');
      expect(all).toContain('"stringValue":"asset-service"');
      expect(all).toContain('asset.audit');
      for (const id of ['up-1', 'no-1', 'url-1', 'who-1']) expect(all).toContain(id);
    });
  });

  it('has no token, no URL and no location', async () => {
    const everything = `${JSON.stringify(await lines())} ${collected.join('\n')} ${service.log()}`;
    expect(everything).toContain('up-1');
    for (const secret of ['eyJ', 'Bearer', 'assets/', 'signature=']) expect(everything).not.toContain(secret);
  });

  it('continues in a new file after the old one was moved', async () => {
    await rename(path, `${path}.1`);
    service.signal('SIGHUP');
    const headers = { ...(await bearer('dave')), 'x-request-id': 'hup-1' };
    await eventually(async () => {
      await client.listFiles({}, { headers });
      const text = await readFile(path, 'utf8');
      expect(text).toContain('hup-1');
    });
  });

  it('loses nothing when the service stops normally', async () => {
    const headers = { ...(await bearer('erin')), 'x-request-id': 'last-1' };
    const call = client.listFiles({}, { headers });
    await call;
    await service.stop();
    expect((await lines()).filter((one) => one['request_id'] === 'last-1')).toHaveLength(1);
  });
});

describe('an audit log that cannot be written', () => {
  it('keeps the service from starting, and says why', async () => {
    const starting = startService({ ASSET_AUDIT_LOG: '/dev/null/audit.log' });
    await expect(starting).rejects.toThrow(/ASSET_AUDIT_LOG: .* cannot be written/);
  });
});
