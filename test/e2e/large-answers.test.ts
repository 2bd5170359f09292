import { createBffClient } from '@asset-service/bff';
import {
  AssetService,
  BatchGetFilesResponseSchema,
  BatchGetFileUrlsResponseSchema,
  ListFilesResponseSchema,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { toBinary, toJsonString } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import pLimit from 'p-limit';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { ROOT } from '../support/install.ts';
import { run } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';
import { startDouble } from '../unit/clients-double.ts';
import { randomContent, upload, type AssetClient } from './support/calls.ts';
import { failureOf } from './support/failures.ts';
import { EMBEDDED, POCKETBASE, type Setup } from './support/setups.ts';

/** What gRPC reads where nobody says otherwise. */
const READ_MAX_BYTES = 4 * 2 ** 20;
const FILES = 250;

describe.each([EMBEDDED, POCKETBASE])('answers with much in them, on $name', (kind) => {
  let setup: Setup;
  let service: Service;
  let client: AssetClient;
  const made: string[] = [];

  beforeAll(async () => {
    setup = await kind.open();
    service = await startService({ ...setup.env, ASSET_LIMIT_WRITES: '0', ASSET_LIMIT_READS: '0' });
    client = createClient(
      AssetService,
      createGrpcTransport({ baseUrl: service.url, readMaxBytes: READ_MAX_BYTES }),
    );
    const inTurn = pLimit(16);
    const file = { owner: 'ann', name: '😀'.repeat(255) };
    const uploads = Array.from({ length: FILES }, () =>
      inTurn(async () => {
        const attributes = { extra: randomBytes(10_000).toString('hex') };
        return (await upload(client, randomContent(1), { file: { ...file, attributes } })).id;
      }),
    );
    made.push(...(await Promise.all(uploads)));
  }, 120_000);

  afterAll(async () => {
    await service?.dispose();
    await setup?.dispose();
  });

  it('are pages that end early, one after the other without a gap', async () => {
    const seen: string[] = [];
    let pages = 0;
    let pageToken = '';
    do {
      const page = await client.listFiles({ pageSize: 1_000, pageToken });
      expect(page.files.length).toBeGreaterThan(40);
      expect(toBinary(ListFilesResponseSchema, page).byteLength).toBeLessThan(READ_MAX_BYTES);
      expect(Buffer.byteLength(toJsonString(ListFilesResponseSchema, page))).toBeLessThan(READ_MAX_BYTES);
      seen.push(...page.files.map(({ id }) => id));
      pageToken = page.nextPageToken;
      pages += 1;
    } while (pageToken !== '');
    expect(pages).toBe(2);
    expect(seen).toHaveLength(FILES);
    expect(seen.sort()).toEqual(made.toSorted());
  });

  it('are refused for records, with the number of those that fit', async () => {
    const failure = await failureOf(client.batchGetFiles({ fileIds: made }));
    expect(failure).toMatchObject({ code: 'RESOURCE_EXHAUSTED', reason: 'MESSAGE_TOO_LARGE' });
    const fitting = Number(failure.metadata['max_files']);
    expect(fitting).toBeGreaterThan(100);
    const answer = await client.batchGetFiles({ fileIds: made.slice(0, fitting) });
    expect(answer.files.map(({ id }) => id)).toEqual(made.slice(0, fitting));
    expect(toBinary(BatchGetFilesResponseSchema, answer).byteLength).toBeLessThan(READ_MAX_BYTES);
    const bff = createBffClient({ baseUrl: service.url });
    try {
      const results = await bff.getFiles(made);
      expect(results.map(({ file }) => file?.id)).toEqual(made);
    } finally {
      bff.close();
    }
  });

  it('have as many URLs as fit, and say of the others that they do not', async () => {
    const ids = [...made, ...made, ...made, ...made];
    const downloadName = '😀'.repeat(255);
    const requests = ids.map((fileId) => ({
      source: { case: 'fileId' as const, value: fileId },
      downloadName,
    }));
    const answer = await client.batchGetFileUrls({ requests });
    expect(toBinary(BatchGetFileUrlsResponseSchema, answer).byteLength).toBeLessThan(READ_MAX_BYTES);
    const cases = answer.results.map(({ result }) => result.case);
    expect(cases).toHaveLength(1_000);
    const count = cases.indexOf('error');
    expect(count).toBeGreaterThan(100);
    expect(cases.slice(count).every((one) => one === 'error')).toBe(true);

    const bff = createBffClient({ baseUrl: service.url });
    try {
      const urls = await bff.fileUrls(ids, { downloadName });
      expect(urls.map(({ id, error }) => [id, error])).toEqual(ids.map((id) => [id, undefined]));
      expect((await fetch(urls.at(-1)!.url!.url)).status).toBe(200);
    } finally {
      bff.close();
    }
  });
});

it('asks for as many records as the command line is to print', async () => {
  const sizes: number[] = [];
  const double = await startDouble({
    listFiles: ({ pageSize }) => {
      sizes.push(pageSize);
      return { files: [{ id: 'a' }, { id: 'b' }], nextPageToken: 'more' };
    },
  });
  try {
    await run(process.execPath, [join(ROOT, 'src/main.ts'), 'list', '--limit', '1', '--url', double.baseUrl]);
    expect(sizes).toEqual([1]);
  } finally {
    await double[Symbol.asyncDispose]();
  }
});
