import { AssetService, ListFilesResponseSchema } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { toBinary } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomContent, upload, type AssetClient } from '../e2e/support/calls.ts';
import { failureOf } from '../e2e/support/failures.ts';
import { EMBEDDED, type Setup } from '../e2e/support/setups.ts';
import { startService, type Service } from '../support/service.ts';
import { residentMiB, whileOthersWork } from './support/others.ts';

const READ_MAX_BYTES = 4 * 2 ** 20;

/** Relations with `count` targets in each of ten, whose ids have `length` characters. */
const relations = (count: number, length: number) =>
  Object.fromEntries(
    Array.from({ length: 10 }, (_, i) => [
      `relation${i}`,
      { ids: Array.from({ length: count }, (_none, j) => `${i}-${j}-`.padEnd(length, 'x')) },
    ]),
  );

describe('records as large as they may be', () => {
  let setup: Setup;
  let service: Service;
  let client: AssetClient;

  beforeAll(async () => {
    // Its catalog runs in the process and blocks all others.
    setup = await EMBEDDED.open();
    service = await startService(setup.env);
    client = createClient(
      AssetService,
      createGrpcTransport({ baseUrl: service.url, readMaxBytes: READ_MAX_BYTES }),
    );
  });

  afterAll(async () => {
    await service?.dispose();
    await setup?.dispose();
  });

  it('are refused past their bounds, by an upload and by changes one after the other', async () => {
    const refused = { code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID' };
    const large = { file: { relations: relations(640, 255) } };
    expect(await failureOf(upload(client, randomContent(1), large))).toMatchObject(refused);
    const { id } = await upload(client, randomContent(1));
    let changes = 0;
    const grow = async () => {
      for (; changes < 100; changes++) {
        const file = { id, relations: { [`r${changes}`]: { ids: ['x'.repeat(200)] } } };
        await client.updateMetadata({ file, updateMask: { paths: [`relations.r${changes}`] } });
      }
    };
    expect(await failureOf(grow())).toMatchObject(refused);
    expect(changes).toBe(64);
    await client.deleteFile({ fileId: id });
  });

  it('leave a list that everybody can read, and the service to others', async () => {
    const made = new Set<string>();
    for (let i = 0; i < 10; i++) {
      made.add(
        (
          await upload(client, randomContent(1), {
            file: { owner: 'mallory', relations: relations(990, 50) },
          })
        ).id,
      );
    }
    const before = residentMiB(service);
    const list = async () => {
      const seen: string[] = [];
      let pageToken = '';
      do {
        const page = await client.listFiles({ filter: { owner: 'mallory' }, pageSize: 1_000, pageToken });
        expect(toBinary(ListFilesResponseSchema, page).byteLength).toBeLessThan(READ_MAX_BYTES);
        seen.push(...page.files.map(({ id }) => id));
        pageToken = page.nextPageToken;
      } while (pageToken !== '');
      return seen;
    };
    await whileOthersWork(service, async () => {
      const lists = await Promise.all(Array.from({ length: 8 }, list));
      for (const seen of lists) expect(new Set(seen)).toEqual(made);
    });
    // Eight concurrent lists of all records took 941 MiB before.
    expect(residentMiB(service) - before).toBeLessThan(400);
  });
});
