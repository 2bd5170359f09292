import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { UploadTransport } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { clientOf, randomContent, send, spec, upload, type AssetClient } from '../e2e/support/calls.ts';
import { eventually } from '../support/eventually.ts';
import { failureOf } from '../e2e/support/failures.ts';
import { EMBEDDED, POSTGRES, type Setup } from '../e2e/support/setups.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';

const MiB = 2 ** 20;
/** A file larger than one part of the store, whose minimum is 5 MiB. */
const SAID = 6 * MiB;
/** Maximum size of the usage `small`; also larger than a part. */
const SMALL = 7 * MiB;

describe.each([EMBEDDED, POSTGRES])('a size that lies, on $name', (kind) => {
  let dir: string;
  let setup: Setup;
  let service: Service;
  let client: AssetClient;
  let before: string[];
  /** Resumable uploads that the test began. */
  const started: string[] = [];

  beforeAll(async () => {
    dir = await makeDir('sizes');
    const policy = join(dir, 'policy.json');
    await writeFile(policy, JSON.stringify({ default: {}, usages: { small: { maxSizeBytes: SMALL } } }));
    setup = await kind.open();
    service = await startService({
      ...setup.env,
      ASSET_POLICY_FILE: policy,
      ASSET_UPLOAD_PART_SIZE: '5MiB',
    });
    client = clientOf(service.url);
    await upload(client, randomContent(10));
  });

  afterAll(async () => {
    await service?.dispose();
    await setup?.dispose();
    await removeDir(dir);
  });

  beforeEach(async () => {
    before = (await setup.blobs()).sort();
    started.length = 0;
  });

  afterEach(async () => {
    // The bytes before the excess can be continued until the upload is cancelled or expires.
    for (const uploadId of started) await client.cancelUpload({ uploadId }).catch(() => undefined);
    // Refused bytes are removed with the response, or when the end of the connection is noticed.
    await eventually(async () => expect((await setup.blobs()).sort()).toEqual(before));
  });

  interface Said {
    readonly sizeBytes?: number;
    readonly usage?: string;
  }

  const described = ({ sizeBytes, usage = '' }: Said) => ({
    file: { usage },
    ...(sizeBytes !== undefined && { sizeBytes: BigInt(sizeBytes) }),
  });

  async function begin(said: Said): Promise<string> {
    const { uploadId } = await client.startUpload({ uploadSpec: described(said) });
    started.push(uploadId);
    return uploadId;
  }

  /** The messages of a stream after its first. */
  function* pieces(sizeBytes: number, finish = true) {
    const content = randomContent(MiB);
    for (let at = 0; at < sizeBytes; at += MiB) {
      yield {
        writeOffset: BigInt(at),
        data: { content: content.subarray(0, Math.min(MiB, sizeBytes - at)) },
      };
    }
    if (finish) yield { writeOffset: BigInt(sizeBytes), finishWrite: true };
  }

  /** The ways to send a file of `sizeBytes` that declares `said`. */
  const WAYS = {
    Upload: (said: Said, sizeBytes: number) => {
      const { file, ...size } = described(said);
      return send(client, [spec(file, size), ...pieces(sizeBytes)]);
    },
    'Upload by upload_id': async (said: Said, sizeBytes: number) => {
      const uploadId = await begin(said);
      const first = { firstMessage: { case: 'uploadId' as const, value: uploadId } };
      return send(client, [first, ...pieces(sizeBytes)]);
    },
    UploadChunk: async (said: Said, sizeBytes: number) => {
      const uploadId = await begin(said);
      for (const piece of pieces(sizeBytes)) await client.uploadChunk({ uploadId, ...piece });
      return undefined;
    },
    'UploadChunk and CompleteUpload': async (said: Said, sizeBytes: number) => {
      const uploadId = await begin(said);
      for (const piece of pieces(sizeBytes, false)) await client.uploadChunk({ uploadId, ...piece });
      return client.completeUpload({ uploadId });
    },
  };

  describe.each(Object.entries(WAYS))('by %s', (_name, sendFile) => {
    it.each([
      ['a byte more', SAID + 1],
      ['twice as much', 2 * SAID],
      ['a byte fewer', SAID - 1],
      ['hardly anything', 1],
      ['nothing', 0],
    ])('is refused where %s comes', async (_what, sizeBytes) => {
      const failure = await failureOf(sendFile({ sizeBytes: SAID }, sizeBytes));
      expect(failure).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'SIZE_MISMATCH' });
    });

    it.each([1, 5 * MiB])('does not get a file past its usage that is too large by %d', async (more) => {
      const failure = await failureOf(sendFile({ usage: 'small' }, SMALL + more));
      expect(failure).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'FILE_TOO_LARGE' });
    });

    it('does not get a file past its usage by a small declared size', async () => {
      const failure = await failureOf(sendFile({ usage: 'small', sizeBytes: SMALL }, SMALL + 1));
      expect(failure).toMatchObject({ reason: expect.stringMatching(/^(SIZE_MISMATCH|FILE_TOO_LARGE)$/) });
    });

    it('is refused at once where it is more than the usage allows', async () => {
      const failure = await failureOf(sendFile({ usage: 'small', sizeBytes: SMALL + 1 }, 0));
      expect(failure).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'FILE_TOO_LARGE' });
    });
  });

  describe('by parts straight to the store', () => {
    const start = async () => {
      const { uploadId } = await client.startUpload({
        uploadSpec: described({ sizeBytes: SAID }),
        transport: UploadTransport.DIRECT,
      });
      const { parts } = await client.signUploadParts({ uploadId, partNumbers: [1, 2] });
      return { uploadId, parts };
    };

    it.each([
      ['a byte more', 1],
      ['a byte fewer', -1],
      ['twice as much', 5 * MiB],
    ])('is refused by the store where %s comes', async (_what, more) => {
      const { uploadId, parts } = await start();
      const body = randomContent(5 * MiB + more);
      // S3 signs the length, and some stores wait long for missing bytes.
      for (const sent of setup.bucket ? [body] : [body, new Blob([body]).stream()]) {
        const status = await fetch(parts[0]!.url, {
          ...{ method: 'PUT', headers: parts[0]!.headers, body: sent, duplex: 'half' },
          signal: AbortSignal.timeout(5_000),
        }).then(
          (answer) => answer.status,
          // The store closed the connection early, or waits for missing bytes.
          () => 400,
        );
        expect(status).toBeGreaterThanOrEqual(400);
      }
      const whole = await failureOf(client.completeUpload({ uploadId }));
      expect(whole).toMatchObject({ reason: 'UPLOAD_PARTS_MISSING' });
      await client.cancelUpload({ uploadId });
    });

    it('is refused if a part is missing', async () => {
      const { uploadId, parts } = await start();
      const { url, headers } = parts[0]!;
      expect((await fetch(url, { method: 'PUT', headers, body: randomContent(5 * MiB) })).status).toBe(200);
      expect(await failureOf(client.completeUpload({ uploadId }))).toMatchObject({
        reason: 'UPLOAD_PARTS_MISSING',
      });
      await client.cancelUpload({ uploadId });
    });

    it('is refused at once where the usage does not allow it, and where there is none', async () => {
      const transport = UploadTransport.DIRECT;
      const large = { uploadSpec: described({ usage: 'small', sizeBytes: SMALL + 1 }), transport };
      expect(await failureOf(client.startUpload(large))).toMatchObject({ reason: 'FILE_TOO_LARGE' });
      const unknown = { uploadSpec: described({ usage: 'small' }), transport };
      expect(await failureOf(client.startUpload(unknown))).toMatchObject({ code: 'INVALID_ARGUMENT' });
    });
  });
});
