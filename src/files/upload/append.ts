import { writeOffsetMismatch, wrongTransport } from '../../errors/uploads.ts';
import type { FilesContext } from '../context.ts';
import { holdSession, type QuotaHold } from '../quota.ts';
import type { Uploaded } from './receipt.ts';
import { assertScannable } from './scan.ts';
import type { UploadContent } from './chunk.ts';
import { Inflow } from './inflow.ts';
import { finishSession, finishStored } from './finish.ts';
import { PartWriter } from './part-writer.ts';
import { ResumableHash } from './resumable-hash.ts';
import { removeStale, saveSession } from './session-store.ts';
import { addExpected, persistedSize, type Session } from './session-state.ts';
import { reached } from '../../system/crash-points.ts';

/** Bytes that a caller sends on an upload that goes on over several calls. */
export interface Appendix {
  /** Where the bytes go, from the start of the file. */
  readonly writeOffset: number;
  readonly content: UploadContent;
  /** Greatest number of bytes in `content`, where that is known. */
  readonly maxBytes?: number;
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
  { content, maxBytes }: Appendix,
  quota: QuotaHold | undefined,
  signal: AbortSignal,
): Promise<UploadProgress<Uploaded>> {
  const { crc32c, sha256State, sizeBytes, description } = claimed.state;
  const rules = context.policies.rulesOf(description.usage);
  const admit = async (bytes: number) => {
    rules.checkSize(bytes);
    await quota?.grow(bytes);
    assertScannable(context, bytes);
  };
  const hash = await ResumableHash.from(crc32c, sha256State);
  const offset = persistedSize(claimed);
  const inflow = new Inflow(content, { offset, sizeBytes, isWhole: false, admit, hash, signal });
  const writer = await PartWriter.open(context, claimed, { hash, rules, maxBytes }, signal);
  try {
    try {
      await writer.pour(inflow);
    } catch (error) {
      // What has come so far is worth keeping; the caller is told why it ended all the same.
      await writer.keep().catch((cause: unknown) => {
        if (cause === writer.failure) return;
        context.log.warn(
          { err: cause, uploadId: claimed.id },
          'the end of a broken upload could not be kept',
        );
      });
      throw writer.failure ?? error;
    } finally {
      inflow.close();
    }
    const { expected, isComplete } = inflow.end;
    if (isComplete) return await finishSession(context, writer, rules, expected, signal);
    const kept = await writer.keep(addExpected(claimed.state, expected));
    return { persistedSize: persistedSize(kept) };
  } finally {
    await writer.close();
  }
}

function assertOffset(session: Session, writeOffset: number): void {
  const size = persistedSize(session);
  if (writeOffset !== size) throw writeOffsetMismatch(writeOffset, size);
}
