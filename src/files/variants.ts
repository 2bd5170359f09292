import type { FileRecord } from '../catalog/file-catalog.ts';
import { essence } from './content-type/media-types.ts';
import type { FileBytes } from './bytes.ts';

/** Which variant a caller wants; without a name, or with an empty one, the file itself. */
export interface VariantRequest {
  readonly variant?: string;
  /** The `Accept` header of the browser, if known. */
  readonly accept?: string;
}

/** The bytes of a variant. */
export interface Rendition extends FileBytes {
  readonly contentType: string;
}

/** Makes and finds variants of files. */
export interface Variants {
  /**
   * The variant of a file that the caller may read and that is not deleted. Makes it if there is none.
   *
   * @param original - opens the bytes of the file
   * @throws AssetError FIELD_INVALID (the usage has no such variant), VARIANT_IMPOSSIBLE, RATE_LIMITED,
   *   VARIANTS_UNAVAILABLE
   */
  open(
    file: FileRecord,
    original: (signal: AbortSignal) => Promise<FileBytes>,
    request: Required<VariantRequest>,
    signal: AbortSignal,
  ): Promise<Rendition>;

  /** The thumbhash of a file of which a variant was made; undefined if there is none or the store does not answer. */
  thumbhashOf(file: FileRecord, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer> | undefined>;

  /** Makes in the background what the policy wants at upload. Never throws. */
  uploaded(file: FileRecord): void;

  /** Names of the variants that may be requested for a file, in alphabetical order. */
  namesFor(file: FileRecord): string[];
}

/** Content types of files that variants are made of. */
export const VARIANT_SOURCES: readonly string[] = [
  ...['image/jpeg', 'image/png', 'image/apng', 'image/webp', 'image/gif', 'image/avif', 'application/pdf'],
];

/** True if variants are made of files of this type. */
export function isVariantSource(contentType: string): boolean {
  return VARIANT_SOURCES.includes(essence(contentType));
}

/** Maximum size of a file of which variants are made, in bytes. */
export const MAX_SOURCE_BYTES = 50_000_000;
