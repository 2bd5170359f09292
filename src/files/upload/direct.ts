import { AssetError } from '../../errors/asset-error.ts';
import { wrongTransport } from '../../errors/uploads.ts';
import { fieldInvalid } from '../../errors/fields.ts';
import type { BlobPart } from '../../storage/blob.ts';
import { allowedContentType, readHead } from '../content-type/content-type.ts';
import type { Caller } from '../../identity/caller.ts';
import type { FilesContext } from '../context.ts';
import { digestOf } from './digest.ts';
import type { ExpectedChecksums } from './chunk.ts';
import { grantId, recordGrant } from '../grants.ts';
import { blobKey } from '../bytes.ts';
import type { ContentRules } from '../policy/usage-policies.ts';
import { FileScan } from './scan.ts';
import { assertExpected, commitSession, readBlob } from './finish.ts';
import { holdSession } from '../quota.ts';
import type { Uploaded } from './receipt.ts';
import { abandonIfRefused, saveSession } from './session-store.ts';
import { beginMultipart } from './start.ts';
import { addExpected, type Finished, type Session } from './session-state.ts';

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
  session: Session,
  partNumbers: readonly number[],
  signal: AbortSignal,
): Promise<{ readonly parts: readonly SignedUploadPart[]; readonly expireTime: Date }> {
  const { direct, description } = session.state;
  if (!direct) throw wrongTransport(session.id);
  const sizes = partSizes(session);
  for (const number of partNumbers) {
    if (number <= sizes.length) continue;
    throw fieldInvalid('part_numbers', `there is no part ${number}: the file has ${sizes.length} parts`);
  }
  const contentType = description.contentType || 'application/octet-stream';
  const multipartId = await beginMultipart(context, session, contentType, signal);
  const saved = await saveSession(context, session, { ...session.state, multipartId });
  const issuedAt = new Date(Math.floor(context.store.now().getTime() / 1000) * 1000);
  const lifetime = { issuedAt, ttlSeconds: PART_URL_SECONDS };
  const id = grantId([saved.id, multipartId, issuedAt.getTime(), ...partNumbers]);
  const signedParts = await Promise.all(
    partNumbers.map(async (partNumber) => {
      const options = { ...lifetime, sizeBytes: sizes[partNumber - 1]!, grantId: id };
      const signed = await context.store.signPart(blobKey(saved.id), multipartId, partNumber, options);
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
 * Puts the parts of a direct upload together and reads the whole once, to verify what the caller said. Nobody
 * can read the blob before, since it has no record.
 *
 * @throws AssetError UPLOAD_PARTS_MISSING; SIZE_MISMATCH, CHECKSUM_MISMATCH, CONTENT_TYPE_MISMATCH and the like, and
 *   the session is gone then
 */
export async function completeDirect(
  context: FilesContext,
  session: Session,
  given: ExpectedChecksums,
  signal: AbortSignal,
): Promise<Uploaded> {
  using _quota = await holdSession(context, session, signal);
  const key = blobKey(session.id);
  if ((await context.store.stat(key, { signal })) === undefined) await putTogether(context, session, signal);
  let current = session;
  let finished: Finished;
  using scan = new FileScan(context, signal);
  try {
    const rules = context.policies.rulesOf(session.state.description.usage);
    const expected = addExpected(session.state, given);
    current = await saveSession(context, session, { ...session.state, expected });
    finished = {
      ...(await digestOf(await readBlob(context, current, signal), scan)),
      contentType: await typeOf(context, current, rules, signal),
    };
    assertExpected(rules, current.state, finished);
    await scan.assertClean();
  } catch (error) {
    await abandonIfRefused(context, current, error);
    throw error;
  }
  return await commitSession(context, current, finished, signal);
}

async function putTogether(context: FilesContext, session: Session, signal: AbortSignal): Promise<void> {
  const key = blobKey(session.id);
  const sizes = partSizes(session);
  const { multipartId } = session.state;
  if (sizes.length === 0) {
    await context.store.put(
      key,
      { sizeBytes: 0, chunks: [] },
      { contentType: 'application/octet-stream' },
      { signal },
    );
    return;
  }
  const stored = multipartId === undefined ? [] : await context.store.listParts(key, multipartId, { signal });
  const parts = new Map(stored.map((part) => [part.partNumber, part]));
  const missing = sizes.findIndex((size, index) => parts.get(index + 1)?.sizeBytes !== size) + 1;
  if (missing > 0) {
    throw new AssetError(
      'UPLOAD_PARTS_MISSING',
      `part ${missing} is missing or does not have ${sizes[missing - 1]} bytes: send it and complete again`,
      { metadata: { part_number: String(missing) } },
    );
  }
  const all: BlobPart[] = sizes.map((_size, index) => parts.get(index + 1)!);
  await context.store.completeMultipart(key, multipartId!, all, { signal });
}

async function typeOf(
  { store }: FilesContext,
  session: Session,
  rules: ContentRules,
  signal: AbortSignal,
): Promise<string> {
  const { description, sizeBytes } = session.state;
  const head = sizeBytes === 0 ? new Uint8Array() : await readHead(store, session.id, signal);
  return allowedContentType(rules, description, head);
}

/** Sizes of the parts that a direct upload has: all alike but the last. */
function partSizes({ state }: Session): readonly number[] {
  const { sizeBytes = 0, partSizeBytes } = state;
  const count = Math.ceil(sizeBytes / partSizeBytes);
  return Array.from({ length: count }, (_none, index) =>
    Math.min(partSizeBytes, sizeBytes - index * partSizeBytes),
  );
}
