import type { FileRecord } from '../../catalog/file-catalog.ts';
import { isAssetError } from '../../errors/asset-error.ts';
import { callerIds, type Caller } from '../../identity/caller.ts';
import { reached } from '../../system/crash-points.ts';
import { removeBytes, type Remains } from '../bytes.ts';
import { allowedContentType } from '../content-type/content-type.ts';
import type { FilesContext } from '../context.ts';
import { confirmManifest } from '../datasets/admit.ts';
import type { QuotaHold } from '../quota.ts';
import { Digest, verifyChecksums } from './checksums.ts';
import { assertSameContent, receiptFor, type Receipt } from './commit.ts';
import { Hold, type Call, type UploadFacts, type Uploaded } from './hold.ts';
import { Inflow, type UploadContent } from './inflow.ts';
import { admitFile, takeRoom, type Intake, type NewFile } from './intake.ts';
import { partSizeFor, type Parts } from './parts.ts';
import type { ReservedId, SlotOutcome } from './reservations.ts';
import { FileScan } from './scan.ts';
import { finish, transfer } from './transfer.ts';

/** Up to this size, in bytes, storing a file takes no longer than asking the catalog whether it was stored before. */
const SMALL_BYTES = 256 * 1024;

/** Time limit of removing the parts of a failed upload, in milliseconds. */
const CLEANUP_TIMEOUT_MS = 5_000;

/** A file that comes in one call. */
export interface Upload extends NewFile {
  readonly content: UploadContent;
}

/**
 * Stores a file: exactly one, or nothing. The record is committed last, so the file is visible only when its bytes are
 * durable and verified.
 *
 * @param signal - ends the upload, with nothing stored, until the record is being committed
 * @throws AssetError PERMISSION_DENIED, and what the usage policy, the store or the catalog refuses
 */
export async function uploadFile(
  context: FilesContext,
  caller: Caller,
  wanted: Upload,
  signal: AbortSignal,
): Promise<Receipt> {
  using _slot = context.admission.enter('call');
  const intake = admitFile(context, caller, wanted);
  const { sizeBytes, rules, requestKey: key } = intake;
  let quota: QuotaHold | undefined;
  const admit = (bytes: number) => {
    rules.checkSize(bytes);
    return quota?.grow(bytes);
  };
  const hash = new Digest();
  const inflow = new Inflow(wanted.content, { sizeBytes, isWhole: true, admit, hash, signal });
  try {
    const find = (by: string) => context.catalog.findByRequestKey(by, { signal });
    // The commit finds an earlier upload too. To look before saves a repeated one its bytes, which pays if they are many.
    const isLarge = (sizeBytes ?? Infinity) > SMALL_BYTES;
    let earlier = key !== undefined && isLarge ? await find(key) : undefined;
    if (earlier === undefined) {
      const taken = await takeRoom(context, intake, {}, find, signal);
      if ('room' in taken) quota = taken.room;
      else earlier = taken.earlier;
    }
    const uploaded = earlier
      ? await repeatOf(context, earlier, inflow)
      : await storeNew(context, intake, inflow, quota!, signal);
    return receiptFor(context, caller, uploaded);
  } finally {
    quota?.[Symbol.dispose]();
    // Ends a caller that continues to send after the upload has failed.
    inflow.close();
  }
}

/** Answers an upload that was made before: the same content gets the same file. */
async function repeatOf(context: FilesContext, earlier: FileRecord, inflow: Inflow): Promise<Uploaded> {
  await inflow.drain();
  const actual = { sizeBytes: inflow.sizeBytes, ...inflow.checksums() };
  verifyChecksums(actual, inflow.end.expected);
  assertSameContent(earlier, actual);
  await confirmManifest(context, earlier);
  return { file: earlier, isNew: false };
}

async function storeNew(
  context: FilesContext,
  intake: Intake,
  inflow: Inflow,
  quota: QuotaHold,
  signal: AbortSignal,
): Promise<Uploaded> {
  using scan = new FileScan(context, signal);
  inflow.scan = scan;
  const hold = new ReservationHold(context, intake, quota);
  return await transfer(
    context,
    hold,
    inflow,
    (parts) => finish(context, intake.caller, hold, parts, signal),
    signal,
  );
}

/** Holds an id of a reservation. Notes nothing: an upload in one call that breaks begins again. */
class ReservationHold extends Hold {
  readonly facts: UploadFacts;
  readonly rules: Intake['rules'];
  readonly cut: Hold['cut'];
  readonly #context: FilesContext;
  readonly #quota: QuotaHold;
  contentType: string | undefined;
  readonly multipartId = undefined;
  #reserved: ReservedId | undefined;
  /** What the store may have under the id, besides parts. */
  #stored: 'nothing' | 'something' | 'blob' | 'blob of another' = 'nothing';
  #hasParts = false;
  #isTidy = true;

  constructor(context: FilesContext, intake: Intake, quota: QuotaHold) {
    super();
    const { caller, rules, sizeBytes } = intake;
    this.#context = context;
    this.#quota = quota;
    this.facts = { ...intake, caller: callerIds(caller) };
    this.rules = rules;
    const partSizeBytes = partSizeFor(context.store, context.uploads.partSizeBytes, sizeBytes);
    this.cut = { partSizeBytes, restBytes: sizeBytes };
  }

  get fileId(): string {
    return this.#reserved!.fileId;
  }

  get fence() {
    return { reservationId: this.#reserved!.reservationId };
  }

  override async open(inflow: Inflow): Promise<void> {
    this.contentType = await allowedContentType(this.rules, this.facts.description, await inflow.head());
    this.#reserved = await this.#context.reservations.take();
    reached('upload.reserved');
  }

  override async noteBegun(): Promise<void> {
    this.#hasParts = true;
  }

  override async noteFinishing(): Promise<void> {
    this.#stored = 'something';
    reached('upload.verified');
  }

  async assembled(status: 'created' | 'exists'): Promise<boolean> {
    this.#stored = status === 'created' ? 'blob' : 'blob of another';
    reached('upload.stored');
    if (status === 'exists') throw new Error('a blob has the id of a new file');
    return true;
  }

  async tidy({ signal }: Call): Promise<void> {
    signal.throwIfAborted();
    // The begin of the multipart blob may have taken two tries. A try whose response was lost may have begun another.
    if (this.#hasParts) this.#isTidy = await this.#remove({ unfinished: true });
  }

  override confirmRoom(): Promise<void> {
    return this.#quota.confirm();
  }

  async committed(_uploaded: Uploaded, outcome: SlotOutcome): Promise<void> {
    reached('upload.committed');
    this.#reserved!.release(this.#isTidy ? outcome : 'unsettled');
    this.#reserved = undefined;
  }

  async broken(parts: Parts, error: unknown, { signal }: Call): Promise<unknown> {
    // The first failure, not what followed from it.
    const failure = await parts.fail(error);
    const reserved = this.#reserved;
    if (reserved === undefined) return failure;
    if (parts.hasBegun && this.#stored !== 'blob')
      await this.#remove({ unfinished: true }, CLEANUP_TIMEOUT_MS);
    const released = this.#discard(parts, failure).then((outcome) => reserved.release(outcome));
    // Nobody waits for the answer of a call that is over, and a store that hangs must not keep its place.
    if (!signal.aborted) await released;
    return failure;
  }

  /** Removes what is stored. What cannot be removed, or may still be on its way to the store, is left to the sweeper. */
  async #discard(parts: Parts, error: Error): Promise<SlotOutcome> {
    if (this.#stored === 'nothing' && !parts.hasBegun) return 'settled';
    if (this.#stored === 'blob of another') return 'unsettled';
    // After a commit with an unknown outcome the file may exist: its blob must stay.
    const isRefused = isAssetError(error) && !isAssetError(error, 'CATALOG_UNAVAILABLE');
    if (this.#stored === 'blob' && !isRefused) return 'unsettled';
    const isRemoved = await this.#remove({ blob: true });
    return isRemoved && this.#stored === 'blob' ? 'settled' : 'unsettled';
  }

  /** Removes something of the id. Returns false, with a line in the log, if that fails. */
  async #remove(what: Remains, timeoutMs = 10_000): Promise<boolean> {
    const { store, log } = this.#context;
    const { fileId } = this;
    try {
      await removeBytes(store, fileId, what, { signal: AbortSignal.timeout(timeoutMs) });
      return true;
    } catch (err) {
      log.warn({ err, fileId }, 'what an upload left could not be removed; the sweeper will');
      return false;
    }
  }
}
