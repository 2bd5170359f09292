import { AssetError } from '../../errors.ts';
import { PartReader } from '../../storage/part-reader.ts';
import type { FilesContext } from '../context.ts';
import type { ExpectedChecksums } from '../digest.ts';
import { holdSession, type QuotaHold } from '../quota.ts';
import type { Uploaded } from '../receipt.ts';
import { assertScannable } from '../scan.ts';
import { finishSession, finishStored } from './finish.ts';
import { PartWriter } from './part-writer.ts';
import { ResumableHash } from './resumable-hash.ts';
import { removeStale, saveSession } from './session-store.ts';
import { addExpected, persistedSize, type Session } from './state.ts';
import { reached } from '../../points.ts';

/** Bytes that a caller sends on an upload that goes on over several calls. */
export interface Appendix {
  /** Where the bytes go, from the start of the file. */
  readonly writeOffset: number;
  /** The bytes; throws what ends the call early. */
  readonly content: AsyncIterable<Uint8Array>;
  /** Checksums of the whole file that came with the bytes. Asked for after `content` has ended. */
  readonly expected: () => ExpectedChecksums;
  /** Greatest number of bytes in `content`, where that is known. */
  readonly maxBytes?: number;
  /** Whether the file is complete with these bytes. Asked for after `content` has ended. */
  readonly finish: () => boolean;
}

/** How far an upload has come; `T` stands for the file of a finished one. */
export type UploadProgress<T> = { readonly persistedSize: number } | T;

/**
 * Adds bytes to an upload, and makes it a file if they are its last.
 *
 * Whole parts become durable while the rest is still coming; what is left behind them when the call ends, or
 * breaks, is kept as a piece. So a caller loses little, and goes on wherever GetUpload says.
 *
 * @throws AssetError WRITE_OFFSET_MISMATCH, UPLOAD_TAKEN_OVER, and what verification refuses
 */
export async function appendToUpload(
  context: FilesContext,
  session: Session,
  appendix: Appendix,
  signal: AbortSignal,
): Promise<UploadProgress<Uploaded>> {
  using _slot = context.admission.enter();
  if (session.state.direct) throw wrongTransport(session.id);
  const current = await finishStored(context, session, signal);
  if ('file' in current) return current;
  assertOffset(current.session, appendix.writeOffset);

  using quota = await holdSession(context, current.session, signal);
  await removeStale(context, current.session, signal);
  // Whoever writes takes the session over first, and writes down under which name it may leave a piece.
  const claimed = await saveSession(context, current.session, {
    ...current.session.state,
    stale: [],
    pending: [...current.session.state.pending, current.session.revision + 1],
  });
  reached('session.claimed');
  return await write(context, claimed, appendix, quota, signal);
}

async function write(
  context: FilesContext,
  claimed: Session,
  appendix: Appendix,
  quota: QuotaHold | undefined,
  signal: AbortSignal,
): Promise<UploadProgress<Uploaded>> {
  const { crc32c, sha256State } = claimed.state;
  const hash = await ResumableHash.from(crc32c, sha256State);
  const writer = new PartWriter(context, claimed, hash, signal, appendix.maxBytes);
  const source = new PartReader(checked(context, claimed, appendix.content, quota), signal);
  try {
    for (;;) {
      // Before anything is read, so that uploads which wait for memory hold none.
      await writer.reserve();
      if (!(await source.hasMore())) break;
      await writer.add(await source.read(writer.room, writer.buffer));
    }
  } catch (error) {
    // What has come so far is worth keeping; the caller is told why it ended all the same.
    await writer.keep().catch((cause: unknown) => {
      if (cause === writer.failure) return;
      context.log.warn({ err: cause, uploadId: claimed.id }, 'the end of a broken upload could not be kept');
    });
    throw writer.failure ?? error;
  } finally {
    source.close();
    writer.release();
  }
  if (!appendix.finish()) {
    const kept = await writer.keep(addExpected(claimed.state, appendix.expected()));
    return { persistedSize: persistedSize(kept) };
  }
  return finishSession(context, writer, appendix.expected(), signal);
}

/** The content, held to the size that the caller gave and to that of the usage policy. */
async function* checked(
  context: FilesContext,
  session: Session,
  content: AsyncIterable<Uint8Array>,
  quota: QuotaHold | undefined,
): AsyncGenerator<Uint8Array> {
  const { sizeBytes, description } = session.state;
  let size = persistedSize(session);
  for await (const chunk of content) {
    size += chunk.byteLength;
    if (sizeBytes !== undefined && size > sizeBytes) {
      throw new AssetError(
        'SIZE_MISMATCH',
        `size_bytes says ${sizeBytes}, but more came: send the true size`,
        {
          metadata: { size_bytes: String(sizeBytes) },
        },
      );
    }
    context.policies.checkSize(description.usage, size);
    await quota?.grow(size);
    assertScannable(context, size);
    yield chunk;
  }
}

function assertOffset(session: Session, writeOffset: number): void {
  const size = persistedSize(session);
  if (writeOffset === size) return;
  throw new AssetError(
    'WRITE_OFFSET_MISMATCH',
    `write_offset is ${writeOffset}, but ${size} bytes are durable: go on from there`,
    { metadata: { persisted_size: String(size) } },
  );
}

/** The error for bytes of a DIRECT upload, or parts of one that is not. */
export function wrongTransport(uploadId: string): AssetError {
  return new AssetError(
    'UPLOAD_TRANSPORT',
    'the call does not fit the transport of the upload: bytes of a DIRECT upload are sent to the URLs of SignUploadParts',
    { metadata: { upload_id: uploadId } },
  );
}
