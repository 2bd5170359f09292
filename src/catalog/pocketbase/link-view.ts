import type { LinkView } from '../catalog-access.ts';
import type { Collection, CollectionField } from './collection.ts';

/** Characters that would end the path of a URL or change it. Browsers escape the others by themselves. */
const ESCAPES = [
  ['%', '%25'],
  ['?', '%3F'],
  ['#', '%23'],
  ['+', '%2B'],
  [' ', '%20'],
] as const;

/**
 * The query of a view with all rows and shown fields of the collection, in which the link is computed: the link that a record
 * has, otherwise prefix and key. In a link with a prefix the key is escaped as in a URL.
 */
export function linkQuery({ id, name, fields }: Collection, view: LinkView): string {
  const shown = fields.filter((field) => !field.hidden && field.name !== view.linkField);
  const columns = shown.map((field) => `f.${field.name}`);
  const link = view.hasField ? fields.find((field) => field.name === view.linkField) : undefined;
  const own = link === undefined ? '' : ` when ifnull(f.${link.name},'')!='' then f.${link.name}`;
  const kept = Object.entries(view.links)
    .map(([record, text]) => ` when f.id=${quoted(record)} then ${quoted(text)}`)
    .join('');
  const { text, conditions } = keyExpression(view.template, { id, name, fields });
  const key = view.prefix === '' ? text : `${quoted(view.prefix)}||${escaped(text)}`;
  const computed = ` when ${conditions.join(' and ')} then ${key}`;
  return `select ${columns.join(', ')}, cast(case${own}${kept}${computed} else '' end as text) as ${view.linkField} from ${name} f`;
}

/** The template as an SQL expression, and when all its fields have values. */
function keyExpression(template: string, { id, name, fields }: Pick<Collection, 'id' | 'name' | 'fields'>) {
  const conditions: string[] = [];
  const parts = template.split(/(\{\w+\})/).filter((part) => part !== '');
  const texts = parts.map((part) => {
    const field = /^\{(\w+)\}$/.exec(part)?.[1];
    if (field === undefined) return quoted(part);
    if (field === 'collection_id') return quoted(id);
    if (field === 'collection_name') return quoted(name);
    const value = firstValue(fields.find((one) => one.name === field)!);
    conditions.push(`ifnull(${value},'')!=''`);
    return value;
  });
  return { text: texts.join('||'), conditions };
}

/** A field with several values is a JSON list. */
function firstValue({ name, maxSelect = 1 }: CollectionField): string {
  return maxSelect > 1 ? `json_extract(f.${name},'$[0]')` : `f.${name}`;
}

function escaped(expression: string): string {
  return ESCAPES.reduce(
    (text, [from, to]) => `replace(${text},${quoted(from)},${quoted(to)})`,
    `(${expression})`,
  );
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
