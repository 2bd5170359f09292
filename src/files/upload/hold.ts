import type { CreateFence, FileDescription, FileRecord } from '../../catalog/file-catalog.ts';
import type { CallerIds } from '../../identity/caller.ts';
import type { BlobPart } from '../../storage/blob.ts';
import type { ContentRules } from '../policy/usage-policies.ts';
import type { Checksums, ExpectedChecksums } from './checksums.ts';
import type { Inflow } from './inflow.ts';
import type { Parts, PartsOptions } from './parts.ts';
import type { SlotOutcome } from './reservations.ts';

/** What is known of an upload before its first byte. */
export interface UploadFacts {
  readonly caller: CallerIds;
  readonly description: FileDescription;
  /** Size that the caller gave, in bytes. */
  readonly sizeBytes?: number | undefined;
  /** Key under which the catalog finds the upload again; undefined without a request id. */
  readonly requestKey?: string | undefined;
}

/** Properties of a whole file. */
export interface Content extends Checksums {
  readonly sizeBytes: number;
  readonly contentType: string;
}

/** The file of a finished upload. */
export interface Uploaded {
  readonly file: FileRecord;
  /** True if this call created the record; false if it was there before, and may have changed since. */
  readonly isNew: boolean;
}

/** How the bytes of a call are cut into parts. */
export type Cut = Pick<PartsOptions, 'partSizeBytes' | 'restBytes' | 'tail' | 'storedParts'>;

/** Options of a call to the store. */
export interface Call {
  readonly signal: AbortSignal;
}

/**
 * Holds the id of an upload until its file has a record. The kinds of upload differ in this alone: an upload in one call
 * holds an id of a reservation, one over several calls a session. What is not overridden does nothing.
 */
export abstract class Hold {
  /** Id of the file. */
  abstract readonly fileId: string;
  abstract readonly facts: UploadFacts;
  /** What the usage allows. */
  abstract readonly rules: ContentRules;
  /** What the catalog checks when it creates the record. */
  abstract readonly fence: CreateFence;
  /** How this call cuts its bytes. */
  abstract readonly cut: Cut;
  /** Media type of the file; undefined until it is decided. */
  abstract readonly contentType: string | undefined;
  /** Id of the multipart blob that earlier calls began. */
  abstract readonly multipartId: string | undefined;

  /** Called when there is memory for the first bytes and before any is read. */
  async open(_inflow: Inflow): Promise<void> {}
  /** Notes that a multipart blob was begun. */
  async noteBegun(_multipartId: string, _contentType: string): Promise<void> {}
  /** Notes that a part is stored. */
  noteStored(_parts: Parts): void {}
  /** Notes what the file will have, before its blob is assembled. */
  async noteFinishing(_content: Content, _parts: Parts): Promise<void> {}

  /** Runs a check of the content. */
  check<T>(work: () => Promise<T>): Promise<T> {
    return work();
  }
  /** All checksums that the caller gave. Throws CHECKSUM_MISMATCH if two of one kind differ. */
  expect(given: ExpectedChecksums): ExpectedChecksums {
    return given;
  }
  /** All parts of the blob; `taken` are those of this call. */
  async allParts(
    taken: readonly BlobPart[],
    _multipartId: string,
    _call: Call,
  ): Promise<readonly BlobPart[]> {
    return taken;
  }
  /** Called when the blob is assembled, or was there. Returns false to try again. */
  abstract assembled(status: 'created' | 'exists', content: Content, call: Call): Promise<boolean>;
  /** Removes what the upload stored beside its blob. */
  abstract tidy(call: Call): Promise<void>;
  /** Last check before the record is created; throws QUOTA_EXCEEDED. */
  async confirmRoom(): Promise<void> {}
  /** Called when the upload is a file, or an earlier one with the same request id is. */
  abstract committed(uploaded: Uploaded, outcome: SlotOutcome): Promise<void>;
  /** Called when the record could not be created. Returns the file of another call, or rejects. */
  async refused(error: unknown): Promise<Uploaded> {
    throw error;
  }
  /** Called when the transfer failed: keeps or removes what was stored. Returns the error for the caller. */
  abstract broken(parts: Parts, error: unknown, call: Call): Promise<unknown>;
}
