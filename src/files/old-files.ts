import type { FileRecord } from '../catalog/file-catalog.ts';
import { AssetError } from '../errors/asset-error.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import { fieldInvalid } from '../errors/fields.ts';
import { storedBytes, type FileBytes } from './bytes.ts';
import type { Caller } from '../identity/caller.ts';
import type { RecordLoader } from './record-loader.ts';

/** Files older than the service whose bytes are still where the old system stored them. */
export interface OldFiles {
  /** The record of the file with this path of the old system; undefined if there is none. */
  find(path: string, signal: AbortSignal): Promise<FileRecord | undefined>;

  /**
   * The bytes of a file that was not moved.
   *
   * @throws AssetError BLOB_MISSING if they are missing or do not fit the record
   */
  open(file: FileRecord, signal: AbortSignal): Promise<FileBytes>;

  /** True if the type of a file's object in the old bucket contradicts that of the record. */
  contradictsType(file: FileRecord, signal: AbortSignal): Promise<boolean>;

  /** Counts a use of a path of the old system. */
  noteUse(caller: Caller, path: string): void;
}

/** Where the bytes of files may be. */
interface Sources {
  readonly store: BlobStore;
  readonly records: RecordLoader;
  readonly oldFiles?: OldFiles | undefined;
}

/** The file that a caller names; exactly one of the two is not empty. */
export interface FileName {
  readonly fileId: string;
  /** A path of the old system. */
  readonly legacyPath?: string;
}

/**
 * The record of the file that a caller names; undefined if there is none. Check the caller's permission before anything
 * depends on it.
 *
 * @throws AssetError FIELD_INVALID for a path if the service has no old system
 */
export async function lookUp(
  { records, oldFiles }: Pick<Sources, 'records' | 'oldFiles'>,
  { fileId, legacyPath = '' }: FileName,
  signal: AbortSignal,
): Promise<FileRecord | undefined> {
  if (legacyPath === '') return records.get(fileId, signal);
  if (oldFiles !== undefined) return oldFiles.find(legacyPath, signal);
  throw fieldInvalid('legacy_path', 'this service serves no old system: name the file by its file_id');
}

/** Counts the use of a path of the old system; does nothing for an id. */
export function noteUse(
  { oldFiles }: Pick<Sources, 'oldFiles'>,
  caller: Caller,
  { legacyPath = '' }: FileName,
): void {
  if (legacyPath !== '') oldFiles?.noteUse(caller, legacyPath);
}

/**
 * The bytes of a file that is not deleted. A record without a checksum is older than the service, which has not stored
 * its bytes.
 *
 * @throws AssetError FILE_NOT_MOVED, BLOB_MISSING
 */
export async function bytesOf(
  { store, oldFiles }: Pick<Sources, 'store' | 'oldFiles'>,
  file: FileRecord,
  signal: AbortSignal,
): Promise<FileBytes> {
  if (file.sha256 === undefined) {
    if (oldFiles !== undefined) return oldFiles.open(file, signal);
    throw new AssetError(
      'FILE_NOT_MOVED',
      'the file has not been moved into the service yet: read it by its old path',
      { metadata: { file_id: file.id } },
    );
  }
  return storedBytes(store, file);
}
