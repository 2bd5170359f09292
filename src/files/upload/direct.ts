import { AssetError, isAssetError } from '../../errors/asset-error.ts';
import { fieldInvalid } from '../../errors/fields.ts';
import { wrongTransport } from '../../errors/uploads.ts';
import type { Caller } from '../../identity/caller.ts';
import { blobKey, readBytes, sizeOfBytes } from '../bytes.ts';
import { allowedContentType, readHead } from '../content-type/content-type.ts';
import type { FilesContext } from '../context.ts';
import { grantId, recordGrant } from '../grants.ts';
import { digestOf, type ExpectedChecksums } from './checksums.ts';
import { commit } from './commit.ts';
import type { Uploaded } from './hold.ts';
import { OCTETS } from './open-part.ts';
import { FileScan } from './scan.ts';
import { SessionHold } from './session-hold.ts';
import type { Session } from './session-state.ts';
import { holdSession, loadUpload, openSession, saveSession } from './session-store.ts';
import { verify } from './transfer.ts';

/** Lifetime of the URL of a part, in seconds: they are asked for shortly before they are used. */
const PART_URL_SECONDS = 15 * 60;

/** Where to send one part. */
export interface SignedUploadPart {
  readonly partNumber: number;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Signs URLs for parts of a direct upload.
 *
 * @throws AssetError UPLOAD_TRANSPORT, FIELD_INVALID for a part that the file does not have
 */
export async function signUploadParts(
  context: FilesContext,
  caller: Caller,
  uploadId: string,
  partNumbers: readonly number[],
  signal: AbortSignal,
): Promise<{ readonly parts: readonly SignedUploadPart[]; readonly expireTime: Date }> {
  const { store } = context;
  const session = openSession(await loadUpload(context, caller, uploadId, true, signal));
  const { direct, description, partSizeBytes } = session.state;
  if (!direct) throw wrongTransport(session.id, false);
  const sizes = partSizes(session);
  for (const number of partNumbers) {
    if (number <= sizes.length) continue;
    throw fieldInvalid('part_numbers', `there is no part ${number}: the file has ${sizes.length} parts`);
  }
  const contentType = description.contentType || OCTETS.contentType;
  const begin = () =>
    store.startMultipart(blobKey(uploadId), { contentType, partSizeBytes, bySignedUrl: true }, { signal });
  const multipartId = session.state.multipartId ?? (await begin());
  const saved = await saveSession(context, session, { ...session.state, multipartId });
  const issuedAt = new Date(Math.floor(store.now().getTime() / 1000) * 1000);
  const lifetime = { issuedAt, ttlSeconds: PART_URL_SECONDS };
  const id = grantId([saved.id, multipartId, issuedAt.getTime(), ...partNumbers]);
  const signedParts = await Promise.all(
    partNumbers.map(async (partNumber) => {
      const options = { ...lifetime, sizeBytes: sizes[partNumber - 1]!, grantId: id };
      const signed = await store.signPart(blobKey(saved.id), multipartId, partNumber, options);
      return { partNumber, ...signed };
    }),
  );
  const expireTime = new Date(Math.min(...signedParts.map((part) => part.expireTime.getTime())));
  const parts = signedParts.map(({ partNumber, url, headers }) => ({ partNumber, url, headers }));
  const facts = { parts: parts.length };
  recordGrant(context, caller, { id, of: { uploadId: saved.id }, expireTime, why: 'own-upload', facts });
  return { parts, expireTime };
}

/**
 * Assembles the parts of a direct upload and reads the blob once, to verify what the caller said. Nobody can read it before,
 * because it has no record.
 *
 * @throws AssetError UPLOAD_PARTS_MISSING; SIZE_MISMATCH, CHECKSUM_MISMATCH, CONTENT_TYPE_MISMATCH and the like, and the
 *   session is given up then
 */
export async function completeDirect(
  context: FilesContext,
  caller: Caller,
  session: Session,
  given: ExpectedChecksums,
  signal: AbortSignal,
): Promise<Uploaded> {
  const { store } = context;
  const { id } = session;
  using _quota = await holdSession(context, session, signal);
  if ((await sizeOfBytes(store, id, { signal })) === undefined) await assemble(context, session, signal);
  const hold = new SessionHold(context, session);
  const content = await hold.check(async () => {
    const { rules, facts } = hold;
    const expected = await hold.saveExpected(given);
    using scan = new FileScan(context, signal);
    const digest = await digestOf(await readBytes(store, id, { signal }), (chunk) => scan.show(chunk));
    const head = facts.sizeBytes === 0 ? new Uint8Array() : await readHead(store, id, signal);
    const actual = { ...digest, contentType: await allowedContentType(rules, facts.description, head) };
    verify(rules, facts, expected, actual);
    await scan.assertClean();
    return actual;
  });
  return await commit(context, caller, hold, content, { signal });
}

async function assemble({ store }: FilesContext, session: Session, signal: AbortSignal): Promise<void> {
  const key = blobKey(session.id);
  const sizes = partSizes(session);
  const { multipartId } = session.state;
  if (sizes.length === 0) {
    await store.put(key, { sizeBytes: 0, chunks: [] }, OCTETS, { signal });
    return;
  }
  const stored = multipartId === undefined ? [] : await store.listParts(key, multipartId, { signal });
  const parts = new Map(stored.map((part) => [part.partNumber, part]));
  const missing = sizes.findIndex((size, index) => parts.get(index + 1)?.sizeBytes !== size) + 1;
  if (missing > 0) {
    throw new AssetError(
      'UPLOAD_PARTS_MISSING',
      `part ${missing} is missing or does not have ${sizes[missing - 1]} bytes: send it and complete again`,
      { metadata: { part_number: String(missing) } },
    );
  }
  const all = sizes.map((_size, index) => parts.get(index + 1)!);
  await store.completeMultipart(key, multipartId!, all, { signal });
}

/** Numbers of the parts that have their right size. All of them once the blob is assembled. */
export async function storedParts(
  { store }: FilesContext,
  session: Session,
  signal: AbortSignal,
): Promise<readonly number[]> {
  const { multipartId } = session.state;
  if (multipartId === undefined) return [];
  const sizes = partSizes(session);
  const key = blobKey(session.id);
  try {
    const listed = await store.listParts(key, multipartId, { signal });
    const right = listed.filter((part) => part.sizeBytes === sizes[part.partNumber - 1]);
    return right.map((part) => part.partNumber);
  } catch (error) {
    // CompleteUpload assembled the parts and did not come to its end.
    const isExpired = isAssetError(error, 'UPLOAD_EXPIRED');
    if (!isExpired || (await sizeOfBytes(store, session.id, { signal })) === undefined) throw error;
    return sizes.map((_size, index) => index + 1);
  }
}

/** Sizes of the parts that a direct upload has: all alike but the last. */
function partSizes({ state }: Session): readonly number[] {
  const { sizeBytes = 0, partSizeBytes } = state;
  const count = Math.ceil(sizeBytes / partSizeBytes);
  return Array.from({ length: count }, (_none, index) =>
    Math.min(partSizeBytes, sizeBytes - index * partSizeBytes),
  );
}
