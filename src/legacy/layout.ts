import type { FieldValues } from '../catalog/legacy-records.ts';

/** Fields of every record that are not fields of the collection. */
export const RECORD_FIELDS = ['id', 'collection_id', 'collection_name'];

/** A template of keys of old files, such as `{id}/{secure_name}`. */
export interface Layout {
  readonly template: string;
  /** Names of its fields, including `id`. */
  readonly fields: readonly string[];
  /** Match possible keys of this layout; the group `id` may be the id of the record. */
  readonly patterns: readonly RegExp[];
  /** Like one of these, for values with slashes. */
  readonly slashed: RegExp;
}

/**
 * Parses a template: text, and field names in braces.
 *
 * @throws SyntaxError with the mistake, for the operator
 */
export function parseLayout(template: string): Layout {
  const parts = template.split(/(\{[^{}]*\})/);
  const fields: string[] = [];
  const texts: string[] = [];
  for (const [index, part] of parts.entries()) {
    if (index % 2 === 0) {
      if (/[{}]/.test(part)) throw new SyntaxError(`"${template}" has a brace without its other half`);
      texts.push(part.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'));
      continue;
    }
    const name = part.slice(1, -1);
    if (!/^\w+$/.test(name)) throw new SyntaxError(`"${template}" names no field in ${part}`);
    if (fields.includes(name)) throw new SyntaxError(`"${template}" names the field "${name}" twice`);
    fields.push(name);
    texts.push(part);
  }
  if (!fields.includes('id')) {
    throw new SyntaxError(`"${template}" has no {id}: without it nobody could tell whose file an object is`);
  }
  if (template.startsWith('/')) throw new SyntaxError(`"${template}" begins with a slash, and keys do not`);
  const isIdAlone = template.split('/').includes('{id}');
  const slashed = patternOf(texts, '[^/]+?', '.+?');
  return { template, fields, patterns: patternsOf(texts, isIdAlone), slashed };
}

/** A pattern of the parts of a template, of which every second one is a field. */
function patternOf(texts: readonly string[], id: string, other: string): RegExp {
  const parts = texts.map((text, index) => {
    if (index % 2 === 0) return text;
    return text === '{id}' ? `(?<id>${id})` : other;
  });
  return new RegExp(`^${parts.join('')}$`, 'su');
}

/** A segment with more than the id may be read in several ways: the usual form of ids comes first. */
function patternsOf(texts: readonly string[], isIdAlone: boolean): readonly RegExp[] {
  if (isIdAlone) return [patternOf(texts, '[^/]+', '[^/]+')];
  return [
    patternOf(texts, '[a-z0-9]{15}', '[^/]+?'),
    patternOf(texts, '[^/]+?', '[^/]+?'),
    patternOf(texts, '[^/]+?', '[^/]+'),
    patternOf(texts, '[^/]+', '[^/]+?'),
  ];
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
