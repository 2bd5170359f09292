import type { FieldValues } from '../catalog/legacy-records.ts';

/** Fields of every record that are not fields of the collection. */
export const RECORD_FIELDS = ['id', 'collection_id', 'collection_name'];

/** A template of keys of old files, such as `{id}/{secure_name}`. */
export interface Layout {
  readonly template: string;
  /** Names of its fields, including `id`. */
  readonly fields: readonly string[];
  /** Matches possible keys of this layout; the group `id` is the id of the record. */
  readonly pattern: RegExp;
}

/**
 * Parses a template: text, and field names in braces.
 *
 * @throws SyntaxError with the mistake, for the operator
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

/** Parses layouts separated by commas. Throws like {@link parseLayout}. */
export function parseLayouts(text: string): readonly Layout[] {
  const templates = text.split(',').map((template) => template.trim());
  return templates.filter((template) => template !== '').map(parseLayout);
}

/** The possible keys of a record's bytes, in the order of the layouts. */
export function keysOf(layouts: readonly Layout[], fields: FieldValues): readonly string[] {
  const keys = layouts.flatMap((layout) => render(layout, fields));
  // Such segments change the meaning of a path.
  return [...new Set(keys)].filter((key) => !key.split('/').some((part) => ['', '.', '..'].includes(part)));
}

/** A field with several values gives a key for each; an empty one gives none. */
function render({ template, fields: names }: Layout, fields: FieldValues): readonly string[] {
  return names.reduce<readonly string[]>(
    (keys, name) =>
      keys.flatMap((key) => (fields[name] ?? []).map((value) => key.split(`{${name}}`).join(value))),
    [template],
  );
}
