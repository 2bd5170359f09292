import { fieldInvalid } from '../../errors/fields.ts';

/** A media type of RFC 9110. Parameters may have all characters permitted in a header. */
const MEDIA_TYPE = /^[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+(?:[ \t]*;[\t -~]*)?$/;

/**
 * A content type as stored: trimmed; empty stays empty. Other text is refused: line ends in a header would start
 * another one.
 *
 * @param field - where it came from, for the error
 * @throws AssetError FIELD_INVALID
 */
export function cleanContentType(contentType: string, field: string): string {
  const clean = contentType.replaceAll(/^[ \t]+|[ \t]+$/g, '');
  if (clean === '' || MEDIA_TYPE.test(clean)) return clean;
  throw fieldInvalid(
    field,
    'a media type is written like image/png or text/plain; charset=utf-8: send one, or none',
  );
}
