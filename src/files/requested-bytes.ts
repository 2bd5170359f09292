import type { FileRecord } from '../catalog/file-catalog.ts';
import { fieldInvalid } from '../errors/fields.ts';
import type { FileBytes } from './bytes.ts';
import type { FilesContext } from './context.ts';
import { bytesOf } from './old-files.ts';
import type { VariantRequest } from './variants.ts';

/**
 * The bytes of a file that is not deleted and that the caller may read, or those of the variant that is requested.
 *
 * @throws AssetError FILE_NOT_MOVED, BLOB_MISSING, and those of `Variants.open`
 */
export async function requestedBytes(
  context: FilesContext,
  file: FileRecord,
  { variant = '', accept = '' }: VariantRequest,
  signal: AbortSignal,
): Promise<FileBytes> {
  if (variant === '') return bytesOf(context, file, signal);
  if (context.variants === undefined) throw fieldInvalid('variant', 'this service makes no variants');
  const original = (call: AbortSignal) => bytesOf(context, file, call);
  return context.variants.open(file, original, { variant, accept }, signal);
}
