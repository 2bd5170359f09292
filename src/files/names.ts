import type { FileDescription } from '../catalog/file-catalog.ts';
import { AssetError } from '../errors.ts';
import { cleanContentType } from './content-type/media-type.ts';
import { afterChange, assertFits } from './record-bounds.ts';

const MAX_CHARACTERS = 255;
const MAX_BYTES = 1024;

/** Nobody means to have these in a name: control characters and ends of lines. */
const REFUSED = /[\p{Cc}\p{Zl}\p{Zp}]/u;

/**
 * What cannot be seen and makes a name look like another one: characters that turn the direction of writing or have no
 * width, private use, and code points that are no characters. Names get them by being copied from other programs, so
 * they are taken out and not refused. The joiners U+200C and U+200D and the variation selectors stay: words of some
 * languages, and many emoji, are written with them.
 */
const TAKEN_OUT =
  /(?![\u200c\u200d\p{Variation_Selector}])[\p{Default_Ignorable_Code_Point}\p{Co}\p{Cs}\p{Noncharacter_Code_Point}\ufff9-\ufffb]/gu;

/**
 * The form in which a name is kept and offered for downloads: Unicode NFC without what {@link TAKEN_OUT} names and
 * without white space at its ends. Empty stays empty.
 *
 * @param field - where the name came from, for the error
 * @throws AssetError FIELD_INVALID for control characters, a path, or a name that is too long or has nothing left
 */
export function cleanName(name: string, field: string): string {
  const refuse = (why: string) =>
    new AssetError('FIELD_INVALID', `${field}: ${why}`, { metadata: { field } });
  if (name === '') return '';
  if (REFUSED.test(name)) throw refuse('a name has no control characters: leave them out');
  const clean = name.replaceAll(TAKEN_OUT, '').normalize('NFC').trim();
  if (/[/\\]/.test(clean)) {
    throw refuse('a name is not a path: send what stands behind the last / or \\');
  }
  if (/^\.{0,2}$/.test(clean) || /^[\u200c\u200d]+$/.test(clean)) {
    throw refuse('there is nothing in this name to call a file by: send another, or none');
  }
  if ([...clean].length > MAX_CHARACTERS || Buffer.byteLength(clean) > MAX_BYTES) {
    throw refuse(
      `a name has at most ${MAX_CHARACTERS} characters and ${MAX_BYTES} bytes: send a shorter one`,
    );
  }
  return clean;
}

/**
 * The description of a new file: its name as {@link cleanName} gives it, its type as {@link cleanContentType} does, and no
 * empty relations or attributes.
 *
 * @throws AssetError FIELD_INVALID, ATTRIBUTE_INVALID
 */
export function cleanDescription(description: FileDescription): FileDescription {
  const clean = {
    ...{ ...description, ...afterChange({ relations: {}, attributes: {} }, description) },
    name: cleanName(description.name, 'upload_spec.file.name'),
    contentType: cleanContentType(description.contentType, 'upload_spec.file.content_type'),
  };
  assertFits(clean);
  return clean;
}

/**
 * What of a recorded name can stand in a header. Records that are older than the service may have names that
 * {@link cleanName} refuses, and their files have to be readable all the same.
 */
export function downloadNameOf(name: string): string {
  return name
    .replaceAll(TAKEN_OUT, '')
    .normalize('NFC')
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}/\\]/gu, '_');
}
