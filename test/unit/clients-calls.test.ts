import { Disposition } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { ErrorReason } from '@asset-service/contract/asset/v1/error_reason_pb.js';
import { createBffClient } from '@asset-service/bff';
import { describe, expect, it } from '@jest/globals';
import { Code, type HandlerContext } from '@connectrpc/connect';
import { setTimeout as sleep } from 'node:timers/promises';
import { serviceError, startDouble } from './clients-double.ts';
import { file, open, start } from './clients-worker-double.ts';

describe('calls', () => {
  it('send the identities, fresh for each call, and share one connection between users', async () => {
    const seen: (string | null)[][] = [];
    const getFile = (_: unknown, { requestHeader }: HandlerContext) => {
      seen.push([requestHeader.get('authorization'), requestHeader.get('asset-user-token')]);
      return { file };
    };
    const double = await startDouble({ getFile });
    let turn = 0;
    const client = createBffClient({ baseUrl: double.baseUrl, token: () => Promise.resolve(`t${++turn}`) });
    open.push(double, client);
    await client.getFile('abc');
    const [ann, bob] = [client.forUser('ann'), client.forUser(() => 'bob')];
    await ann.getFile('abc');
    ann.close();
    await bob.getFile('abc');
    await expect(ann.getFile('abc')).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
    expect(seen).toEqual([
      ['Bearer t1', null],
      ['Bearer t2', 'ann'],
      ['Bearer t3', 'bob'],
    ]);
    expect(double.sockets.size).toBe(1);
    client.close();
    await expect(bob.getFile('abc')).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
  });

  it('build the mask of an update from what is given', async () => {
    const seen: unknown[] = [];
    const { client } = await start({
      updateMetadata: (request) => {
        seen.push(request);
        return { file };
      },
    });
    await client.updateMetadata(
      'abc',
      {
        name: 'b',
        owner: '',
        relations: { project: ['p1'], tags: [] },
        attributes: { title: 'T', gone: null },
      },
      { etag: 'e1' },
    );
    expect(seen[0]).toMatchObject({
      file: {
        id: 'abc',
        etag: 'e1',
        name: 'b',
        owner: '',
        relations: { project: { ids: ['p1'] }, tags: { ids: [] } },
        attributes: { title: 'T' },
      },
      updateMask: {
        paths: [
          'name',
          'owner',
          'relations.project',
          'relations.tags',
          'attributes.title',
          'attributes.gone',
        ],
      },
    });
    await expect(client.updateMetadata('abc', {})).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(seen).toHaveLength(1);
  });

  it('turn the pages of a list as they are taken', async () => {
    const tokens: string[] = [];
    const { client } = await start({
      listFiles: ({ pageToken, filter }) => {
        tokens.push(pageToken);
        expect(filter).toMatchObject({
          owner: 'ann',
          contentType: 'image/*',
          relation: { name: 'project', id: 'p1' },
        });
        const page = Number(pageToken || '0');
        return {
          files: [{ id: `${page}a` }, { id: `${page}b` }],
          nextPageToken: page < 2 ? String(page + 1) : '',
        };
      },
    });
    const options = { owner: 'ann', contentType: 'image/*', relation: { name: 'project', id: 'p1' } };
    const ids: string[] = [];
    for await (const each of client.listFiles(options)) ids.push(each.id);
    expect(ids).toEqual(['0a', '0b', '1a', '1b', '2a', '2b']);
    for await (const _ of client.listFiles(options)) break;
    expect(tokens).toEqual(['', '1', '2', '']);
  });

  it('count a deletion whose first answer was lost as done', async () => {
    let calls = 0;
    const { client } = await start({
      deleteFile: () => {
        calls += 1;
        throw calls === 1
          ? serviceError(Code.Unavailable, 'CATALOG_UNAVAILABLE', { retryMs: 1 })
          : serviceError(Code.NotFound, 'FILE_DELETED');
      },
      getFile: () => ({ file: { ...file, deleteTime: { seconds: 1n } } }),
    });
    expect((await client.deleteFile('abc')).deleteTime).toEqual(new Date(1000));
    await expect(client.deleteFile('abc')).rejects.toMatchObject({ reason: 'FILE_DELETED' });
  });

  it('refuse an answer that is too large once, and say so', async () => {
    for (const transport of ['grpc', 'connect'] as const) {
      let calls = 0;
      const { client } = await start(
        {
          getFile: () => {
            calls += 1;
            return { file: { ...file, name: 'x'.repeat(5 * 2 ** 20) } };
          },
        },
        // A deadline would leave a timer in the double, whose library forgets it where a connection is cut.
        { transport, timeouts: { callMs: 0 } },
      );
      await expect(client.getFile('abc')).rejects.toMatchObject({
        code: 'RESOURCE_EXHAUSTED',
        reason: 'MESSAGE_TOO_LARGE',
      });
      expect(calls).toBe(1);
    }
  });

  it('retry an update that lost a race only without an etag', async () => {
    let calls = 0;
    const { client } = await start({
      updateMetadata: ({ file: given }) => {
        calls += 1;
        if (given!.etag !== '') throw serviceError(Code.Aborted, 'ETAG_MISMATCH');
        if (calls === 1) throw serviceError(Code.Aborted, 'CONCURRENT_CHANGE');
        return { file };
      },
    });
    await client.updateMetadata('abc', { name: 'b' });
    expect(calls).toBe(2);
    await expect(client.updateMetadata('abc', { name: 'b' }, { etag: 'old' })).rejects.toMatchObject({
      code: 'ABORTED',
      reason: 'ETAG_MISMATCH',
    });
    expect(calls).toBe(3);
  });

  it('ask for URLs, one and many in order, each with its own error', async () => {
    const sizes: number[] = [];
    const double = await startDouble({
      getFileUrl: (request) => {
        expect(request).toMatchObject({
          ttl: { seconds: 60n },
          disposition: Disposition.INLINE,
          downloadName: 'x.png',
        });
        return { url: 'https://x', expireTime: { seconds: 5n }, contentType: 'image/png', sizeBytes: 7n };
      },
      batchGetFileUrls: ({ requests }) => {
        sizes.push(requests.length);
        return {
          results: requests.map(({ source }) =>
            source.value === 'none'
              ? { result: { case: 'error', value: { code: Code.NotFound, message: 'no such file' } } }
              : { result: { case: 'response', value: { url: `https://x/${source.value}` } } },
          ),
        };
      },
    });
    const client = createBffClient({ baseUrl: double.baseUrl });
    open.push(double, client);
    expect(
      await client.fileUrl('abc', { ttlSeconds: 60, disposition: 'inline', downloadName: 'x.png' }),
    ).toEqual({
      url: 'https://x',
      expireTime: new Date(5000),
      contentType: 'image/png',
      sizeBytes: 7,
    });
    const ids = Array.from({ length: 1500 }, (_, index) => `f${index}`);
    ids[1200] = 'none';
    const results = await client.fileUrls(ids);
    expect(sizes).toEqual([1000, 500]);
    expect(results.map(({ id }) => id)).toEqual(ids);
    expect(results[1200]).toMatchObject({
      error: { name: 'AssetClientError', code: 'NOT_FOUND', message: 'no such file' },
    });
    expect(results[1201]).toMatchObject({ url: { url: 'https://x/f1201' } });
    expect(await client.fileUrls([])).toEqual([]);
  });

  it('name every reason of the contract as the contract does, and those of a newer service', async () => {
    let reason = '';
    const { client } = await start({
      getFile: () => {
        throw serviceError(Code.Internal, reason);
      },
    });
    for (reason of [...Object.keys(ErrorReason).filter((name) => /^[A-Z]/.test(name)), 'NOT_KNOWN_YET']) {
      await expect(client.getFile('abc')).rejects.toMatchObject({ reason });
    }
  });

  it('end after their own time, and on a signal', async () => {
    const { client } = await start(
      { getFile: (_, { signal }) => sleep(1000, { file }, { signal }) },
      { timeouts: { callMs: 100 } },
    );
    await expect(client.getFile('abc')).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    await expect(client.getFile('abc', { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'CANCELLED',
    });
  });
});
