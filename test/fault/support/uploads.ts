import { randomInt, randomUUID } from 'node:crypto';
import { UploadTransport } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import type { File } from '@asset-service/contract/asset/v1/file_pb.js';
import {
  crc32c,
  randomContent,
  sha256,
  upload,
  type AssetClient,
  type Bytes,
} from '../../e2e/support/calls.ts';
import { anyClient, CALL_TIMEOUT_MS, insist, judge, told, type Told } from './insist.ts';
import type { KnownFile, Ledger } from './ledger.ts';
import { FULL } from './report.ts';
import { SESSION_TTL_MS, type Deployment } from './world.ts';

const MiB = 2 ** 20;

/** Less than the size of the largest files: of two parts in a short run, of three in a full one. */
const LARGE_BYTES = (FULL ? 12 : 8) * MiB;

/** Limits of a call. */
export const BOUND = { timeoutMs: CALL_TIMEOUT_MS };

/** A file that a caller uploads and retries until it is stored. */
export interface Wish {
  readonly requestId: string;
  readonly content: Bytes;
  readonly usage: string;
}

/**
 * Creates a random file to upload: mostly small, often of several parts. `usage` is `short` for a file to be deleted.
 */
export function newWish(usage = '', large = Math.random() < 0.2): Wish {
  const size = large ? randomInt(5 * MiB, LARGE_BYTES) : randomInt(0, 200_000);
  return { requestId: randomUUID(), content: randomContent(size), usage };
}

/** The description of a file to upload. Its name is its request id, so that a list shows which belong together. */
export function describe({ requestId, usage }: Wish) {
  return { name: requestId, usage, attributes: { width: 0 } };
}

/** Records the acknowledged file of an upload, and compares it with the uploaded one. */
export function acknowledged(ledger: Ledger, wish: Wish, file: File): KnownFile {
  const { requestId, content, usage } = wish;
  const hash = Buffer.from(sha256(content)).toString('hex');
  const given = Buffer.from(file.checksums?.sha256 ?? []).toString('hex');
  if (Number(file.sizeBytes) !== content.length || given !== hash) {
    ledger.breach('halfVisible', `${file.id} was acknowledged with another size or checksum than was sent`);
  }
  return ledger.acknowledge({ id: file.id, requestId, sizeBytes: content.length, sha256: hash, usage });
}

/** Uploads in one call, and sometimes repeats it as if the response had been lost. */
export async function uploadPlain(
  world: Deployment,
  ledger: Ledger,
  wish: Wish,
): Promise<KnownFile | undefined> {
  const { requestId, content } = wish;
  let known: KnownFile | undefined;
  for (let times = Math.random() < 0.3 ? 2 : 1; times > 0; times--) {
    const file = await insist(world, ledger, 'an upload', (client) =>
      upload(client, content, { file: describe(wish), requestId, ...BOUND }),
    );
    if (file) known = acknowledged(ledger, wish, file);
  }
  return known;
}

/** Uploads over several calls, alternately by chunk and by stream, on all replicas. */
export async function uploadInPieces(
  world: Deployment,
  ledger: Ledger,
  wish: Wish,
): Promise<KnownFile | undefined> {
  const { content, requestId } = wish;
  const uploadSpec = { file: describe(wish), requestId, sizeBytes: BigInt(content.length) };
  let uploadId = '';
  let durable = 0;
  let usedAt = Date.now();
  const gone = (said: Told) => expired(ledger, uploadId, usedAt, said);
  for (;;) {
    if (uploadId === '') {
      const started = await insist(world, ledger, 'starting an upload', (client) =>
        client.startUpload({ uploadSpec }, BOUND),
      );
      if (!started) return undefined;
      ({ uploadId } = started);
      [durable, usedAt] = [0, Date.now()];
    }
    const where = await insist(
      world,
      ledger,
      'asking for an upload',
      (client) => client.getUpload({ uploadId }, BOUND),
      gone,
    );
    if (!where) {
      uploadId = '';
      continue;
    }
    if (where.writeStatus.case === 'file') return acknowledged(ledger, wish, where.writeStatus.value);
    const at = Number(where.writeStatus.value);
    if (at < durable) ledger.breach('lost', `${uploadId} had ${durable} durable bytes and now has ${at}`);
    try {
      const sentFrom = Date.now();
      const status = await goOn(anyClient(world), uploadId, content, at);
      usedAt = sentFrom;
      if (typeof status !== 'number') return acknowledged(ledger, wish, status);
      durable = Math.max(durable, status);
    } catch (error) {
      const { reason } = told(error);
      // An earlier call of this upload may still run on another replica, or have finished meanwhile.
      if (reason !== 'WRITE_OFFSET_MISMATCH' && !gone(told(error))) judge(ledger, 'going on', error);
    }
  }
}

/** `done` for an error that says that a session is gone, which it may be because of its age alone. */
function expired(ledger: Ledger, uploadId: string, usedAt: number, { reason }: Told): 'done' | undefined {
  if (reason !== 'UPLOAD_NOT_FOUND') return undefined;
  if (Date.now() - usedAt < SESSION_TTL_MS * 0.9) ledger.breach('lost', `the session ${uploadId} is gone`);
  return 'done';
}

/** Sends a part or all of the rest; returns the durable size or the file. */
async function goOn(
  client: AssetClient,
  uploadId: string,
  content: Bytes,
  at: number,
): Promise<number | File> {
  const checksums = { sha256: sha256(content), crc32c: crc32c(content) };
  if (at === content.length) {
    return (await client.completeUpload({ uploadId, checksums }, BOUND)).file!;
  }
  const end = Math.random() < 0.4 ? content.length : Math.min(content.length, at + randomInt(1, 7 * MiB));
  const finishWrite = end === content.length && Math.random() < 0.6;
  if (end - at <= MiB && Math.random() < 0.7) {
    const piece = content.subarray(at, end);
    const { writeStatus } = await client.uploadChunk(
      {
        ...{ uploadId, writeOffset: BigInt(at), data: { content: piece, crc32c: crc32c(piece) } },
        ...(finishWrite && { finishWrite, checksums }),
      },
      BOUND,
    );
    return writeStatus.case === 'file' ? writeStatus.value : Number(writeStatus.value);
  }
  async function* messages() {
    yield { firstMessage: { case: 'uploadId' as const, value: uploadId }, writeOffset: BigInt(at) };
    for (let offset = at; offset < end; offset += 512 * 1024) {
      const piece = content.subarray(offset, Math.min(offset + 512 * 1024, end));
      yield { writeOffset: BigInt(offset), data: { content: piece, crc32c: crc32c(piece) } };
    }
    if (finishWrite) yield { writeOffset: BigInt(end), checksums, finishWrite: true };
  }
  const { writeStatus } = await client.upload(messages(), BOUND);
  return writeStatus.case === 'file' ? writeStatus.value : Number(writeStatus.value);
}

/** Uploads directly to the store, in parts. */
export async function uploadDirect(
  world: Deployment,
  ledger: Ledger,
  wish: Wish,
): Promise<KnownFile | undefined> {
  const { content, requestId } = wish;
  const uploadSpec = { file: describe(wish), requestId, sizeBytes: BigInt(content.length) };
  const usedAt = Date.now();
  const started = await insist(world, ledger, 'starting a direct upload', (client) =>
    client.startUpload({ uploadSpec, transport: UploadTransport.DIRECT }, BOUND),
  );
  if (!started) return undefined;
  const { uploadId, partSizeBytes } = started;
  const partSize = Number(partSizeBytes);
  const partNumbers = Array.from(
    { length: Math.ceil(content.length / partSize) },
    (_none, index) => index + 1,
  );
  let isGone = false;
  const gone = (said: Told) => {
    const verdict = expired(ledger, uploadId, usedAt, said);
    isGone ||= verdict !== undefined;
    return verdict;
  };
  for (let tries = 0; tries < 50; tries++) {
    // It expired in an outage: the caller begins again.
    if (isGone) return uploadDirect(world, ledger, wish);
    // Parts of a killed replica's multipart upload do not count, so all parts are sent again.
    if (partNumbers.length > 0) {
      const signed = await insist(
        world,
        ledger,
        'signing parts',
        (client) => client.signUploadParts({ uploadId, partNumbers }, BOUND),
        (said) => (said.reason === 'UPLOAD_FINISHED' ? 'done' : gone(said)),
      );
      for (const { partNumber, url, headers } of signed?.parts ?? []) {
        const body = content.subarray((partNumber - 1) * partSize, partNumber * partSize);
        await fetch(url, { method: 'PUT', headers, body }).catch(() => undefined);
      }
    }
    const complete = await insist(
      world,
      ledger,
      'completing a direct upload',
      (client) => client.completeUpload({ uploadId, checksums: { sha256: sha256(content) } }, BOUND),
      (said) => (said.reason === 'UPLOAD_PARTS_MISSING' ? 'done' : gone(said)),
    );
    if (complete) return acknowledged(ledger, wish, complete.file!);
  }
  ledger.breach('other', `the direct upload ${uploadId} never came through`);
  return undefined;
}

/** Begins an upload and abandons it: cancels it, sends wrong checksums, or does not continue. */
export async function giveUp(world: Deployment, ledger: Ledger, wish: Wish): Promise<void> {
  const { content, requestId } = wish;
  const started = await insist(world, ledger, 'starting an upload', (client) =>
    client.startUpload({ uploadSpec: { file: describe(wish), requestId } }, BOUND),
  );
  if (!started) return;
  const { uploadId } = started;
  const piece = content.subarray(0, MiB);
  await anyClient(world)
    .uploadChunk({ uploadId, data: { content: piece } }, BOUND)
    .catch(told);
  const how = randomInt(3);
  const over = ({ reason }: Told) =>
    reason === 'UPLOAD_NOT_FOUND' || reason === 'CHECKSUM_MISMATCH' ? ('done' as const) : undefined;
  if (how === 0) {
    await insist(world, ledger, 'cancelling', (client) => client.cancelUpload({ uploadId }, BOUND), over);
  } else if (how === 1) {
    const wrong = { sha256: sha256(randomContent(8)) };
    const complete = (client: AssetClient) => client.completeUpload({ uploadId, checksums: wrong }, BOUND);
    const file = await insist(world, ledger, 'completing with a wrong checksum', complete, over);
    if (file) ledger.breach('halfVisible', `${uploadId} became a file with a wrong checksum`);
  }
}
