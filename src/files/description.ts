import type { FileChange, FileDescription } from '../catalog/file-catalog.ts';
import { attributeInvalid, fieldInvalid } from '../errors/fields.ts';
import { cleanContentType } from './content-type/media-types.ts';
import { cleanName } from './names.ts';

/** Maximum size of a file's attributes as JSON, in bytes of UTF-8. */
const MAX_ATTRIBUTES_BYTES = 64 * 1024;

/** Maximum size of the names and target ids of all relations of a file, in bytes of UTF-8. */
const MAX_RELATIONS_BYTES = 512 * 1024;

/** Maximum number of relations of a file. */
const MAX_RELATIONS = 64;

/** Maximum number of targets of all relations of a file. */
const MAX_TARGETS = 10_000;

type Bounded = Pick<FileDescription, 'relations' | 'attributes'>;

/**
 * Checks the size of a record, so that responses with many records stay limited.
 *
 * @param wanted - the new content
 * @param before - the current content. A record older than the limits may stay above them, but not grow
 * @throws AssetError ATTRIBUTE_INVALID, FIELD_INVALID
 */
export function assertFits(wanted: Bounded, before?: Bounded): void {
  const exceeds = (size: (record: Bounded) => number, max: number) => {
    const bytes = size(wanted);
    return bytes > max && (before === undefined || bytes > size(before));
  };
  if (exceeds(attributesBytes, MAX_ATTRIBUTES_BYTES)) {
    const message = `the attributes of a file may have at most ${MAX_ATTRIBUTES_BYTES} bytes as JSON in UTF-8: shorten them`;
    throw attributeInvalid('', message, { maxBytes: MAX_ATTRIBUTES_BYTES });
  }
  const isTooMuch =
    exceeds(relationsBytes, MAX_RELATIONS_BYTES) ||
    exceeds(({ relations }) => Object.keys(relations).length, MAX_RELATIONS) ||
    exceeds(({ relations }) => Object.values(relations).flat().length, MAX_TARGETS);
  if (!isTooMuch) return;
  const message =
    `a file may have at most ${MAX_RELATIONS} relations with ${MAX_TARGETS} targets, ` +
    `and their names and ids at most ${MAX_RELATIONS_BYTES} bytes in UTF-8: name fewer`;
  throw fieldInvalid('file.relations', message);
}

/** The content of a record after a change. */
export function afterChange(before: Bounded, change: FileChange): Bounded {
  const relations = Object.entries({ ...before.relations, ...change.relations });
  const attributes = Object.entries({ ...before.attributes, ...change.attributes });
  return {
    relations: Object.fromEntries(relations.filter(([, ids]) => ids.length > 0)),
    attributes: Object.fromEntries(attributes.filter(([, value]) => value !== null)),
  };
}

function attributesBytes({ attributes }: Bounded): number {
  return Buffer.byteLength(JSON.stringify(attributes));
}

function relationsBytes({ relations }: Bounded): number {
  let bytes = 0;
  for (const [name, ids] of Object.entries(relations)) {
    bytes += Buffer.byteLength(name);
    for (const id of ids) bytes += Buffer.byteLength(id);
  }
  return bytes;
}

/**
 * The description of a new file with {@link cleanName} and {@link cleanContentType} applied, and without empty
 * relations and attributes.
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
