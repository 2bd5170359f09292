import type { FieldValues } from '../catalog/legacy-records.ts';

/** Fields that every record has without a field of that name in the collection. */
export const RECORD_FIELDS = ['id', 'collection_id', 'collection_name'];

/** A template of the keys of old files, such as `{id}/{secure_name}`. */
export interface Layout {
  readonly template: string;
  /** Names of the fields in it, `id` among them. */
  readonly fields: readonly string[];
  /** Matches what may be a key of this layout; the group `id` is the id of the record. */
  readonly pattern: RegExp;
}

/**
 * Reads a template: text, and names of fields of the record in braces.
 *
 * @throws SyntaxError with what is wrong, for the operator
 */
export function parseLayout(template: string): Layout {
  const parts = template.split(/(\{[^{}]*\})/);
  const fields: string[] = [];
  let pattern = '';
  for (const [index, part] of parts.entries()) {
    if (index % 2 === 0) {
      if (/[{}]/.test(part)) throw new SyntaxError(`"${template}" has a brace without its other half`);
      pattern += part.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
      continue;
    }
    const name = part.slice(1, -1);
    if (!/^\w+$/.test(name)) throw new SyntaxError(`"${template}" names no field in ${part}`);
    if (fields.includes(name)) throw new SyntaxError(`"${template}" names the field "${name}" twice`);
    fields.push(name);
    pattern += name === 'id' ? '(?<id>[^/]+)' : '[^/]+';
  }
  if (!fields.includes('id')) {
    throw new SyntaxError(`"${template}" has no {id}: without it nobody could tell whose file an object is`);
  }
  if (template.startsWith('/')) throw new SyntaxError(`"${template}" begins with a slash, and keys do not`);
  return { template, fields, pattern: new RegExp(`^${pattern}$`, 'su') };
}

/** The layouts of a setting, which commas separate. Throws like {@link parseLayout}. */
export function parseLayouts(text: string): readonly Layout[] {
  const templates = text.split(',').map((template) => template.trim());
  return templates.filter((template) => template !== '').map(parseLayout);
}

/** The keys under which the bytes of a record may lie, those of the first layout first. */
export function keysOf(layouts: readonly Layout[], fields: FieldValues): readonly string[] {
  const keys = layouts.flatMap((layout) => render(layout, fields));
  // A path with such segments means something else to whoever reads it.
  return [...new Set(keys)].filter((key) => !key.split('/').some((part) => ['', '.', '..'].includes(part)));
}

/** A field with several values gives a key for each; one without a value gives none. */
function render({ template, fields: names }: Layout, fields: FieldValues): readonly string[] {
  return names.reduce<readonly string[]>(
    (keys, name) =>
      keys.flatMap((key) => (fields[name] ?? []).map((value) => key.split(`{${name}}`).join(value))),
    [template],
  );
}
