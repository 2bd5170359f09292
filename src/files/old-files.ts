import type { FileRecord } from '../catalog/file-catalog.ts';
import { AssetError } from '../errors/asset-error.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import { fieldInvalid } from '../errors/fields.ts';
import { storedBytes, type FileBytes } from './bytes.ts';
import type { Caller } from '../identity/caller.ts';
import type { RecordLoader } from './record-loader.ts';

/** Files that are older than the service, as long as their bytes lie where the old system put them. */
export interface OldFiles {
  /** The record of the file that a path of the old system names; undefined if it names none. */
  find(path: string, signal: AbortSignal): Promise<FileRecord | undefined>;

  /**
   * The bytes of a file that was not moved.
   *
   * @throws AssetError BLOB_MISSING if they are not there, or contradict the record
   */
  open(file: FileRecord, signal: AbortSignal): Promise<FileBytes>;

  /** True if the object of a file that was not moved has a type that contradicts that of the record. */
  contradictsType(file: FileRecord, signal: AbortSignal): Promise<boolean>;

  /** Counts that a caller named a file by a path of the old system. */
  noteUse(caller: Caller, path: string): void;
}

/** What reads files wherever their bytes lie. */
interface Sources {
  readonly store: BlobStore;
  readonly records: RecordLoader;
  readonly oldFiles?: OldFiles | undefined;
}

/** Which file a caller names: exactly one of the two is not empty. */
export interface FileName {
  readonly fileId: string;
  /** A path of the old system. */
  readonly legacyPath?: string;
}

/**
 * The record of the file that a caller names; undefined if there is none. Nothing may be told of it before the caller's
 * permission is decided.
 *
 * @throws AssetError FIELD_INVALID for a path where the service has no old system
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

/** Counts the use of a path of the old system, where it was one. */
export function noteUse(
  { oldFiles }: Pick<Sources, 'oldFiles'>,
  caller: Caller,
  { legacyPath = '' }: FileName,
): void {
  if (legacyPath !== '') oldFiles?.noteUse(caller, legacyPath);
}

/**
 * The bytes of a file that is not deleted. A record without a checksum was made before the service: its bytes were never
 * stored through it.
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
