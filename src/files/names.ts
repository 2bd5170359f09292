import { fieldInvalid } from '../errors/fields.ts';

const MAX_CHARACTERS = 255;
const MAX_BYTES = 1024;

/** Never intended in a name: control characters and line ends. */
const REFUSED = /[\p{Cc}\p{Zl}\p{Zp}]/u;

/**
 * Invisible characters that make a name look like another one: bidirectional controls, zero-width characters,
 * private use, and noncharacters. Names get them by copying from other programs, so they are removed and not
 * refused. The joiners U+200C and U+200D and variation selectors stay, because some languages and many emoji need
 * them.
 */
const TAKEN_OUT =
  /(?![\u200c\u200d\p{Variation_Selector}])[\p{Default_Ignorable_Code_Point}\p{Co}\p{Cs}\p{Noncharacter_Code_Point}\ufff9-\ufffb]/gu;

/**
 * The stored form of a name: Unicode NFC, trimmed, without {@link TAKEN_OUT}. Empty stays empty.
 *
 * @param field - where the name came from, for the error
 * @throws AssetError FIELD_INVALID for control characters, a path, or a name that is too long or empty after
 * cleaning
 */
export function cleanName(name: string, field: string): string {
  const refuse = (why: string) => fieldInvalid(field, why);
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
 * The part of a stored name that a header can have. Records older than the service may have names that {@link
 * cleanName} refuses, and their files must be readable.
 */
export function downloadNameOf(name: string): string {
  return name
    .replaceAll(TAKEN_OUT, '')
    .normalize('NFC')
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}/\\]/gu, '_');
}
