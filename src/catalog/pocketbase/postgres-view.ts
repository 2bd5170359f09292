import { PocketBaseClient } from './client.ts';
import { listCollections } from './migrate.ts';
import { collectionOf } from './names.ts';
import type { PocketBaseOptions } from './setup.ts';
import { setupOf } from './setup.ts';
import { isMultiple, readSchema, type CollectionField, type FieldName } from './schema.ts';

/** Where the view and the tables of the service are in PostgreSQL. */
export interface ViewPlace {
  /** Schema of the view. */
  readonly view: string;
  /** Schema of the service's tables. */
  readonly tables: string;
}

const TIMEOUT_MS = 12_000;

/**
 * SQL of a PostgreSQL view with the name and the columns of the collection of files, and the rows of the service's tables, for
 * programs that read the collection or views of it. Values are as PocketBase has them: empty text, 0 and false where
 * nothing is set, times as text. Views of the product follow as comments.
 */
export async function postgresView(options: PocketBaseOptions, place: ViewPlace): Promise<string> {
  const client = new PocketBaseClient(options);
  try {
    const setup = setupOf(options);
    const collections = await listCollections(client, AbortSignal.timeout(TIMEOUT_MS));
    const files = collectionOf(collections, setup.collection);
    if (!files) throw new TypeError(`PocketBase has no collection "${setup.collection}"`);
    const { mapped, relations, attributes } = readSchema(files, setup);
    const columns = [
      ['id', 'f.id'],
      ...[...mapped].flatMap(([ours, { name }]) => (VALUES[ours] ? [[name, VALUES[ours]]] : [])),
      ...[...relations.values()].map((field) => [field.name, relation(field, place)]),
      ...[...attributes.values()].map((field) => [field.name, attribute(field)]),
    ].map(([name, value]) => `  ${value} as ${identifier(name!)}`);
    const table = `${identifier(place.tables)}.files`;
    // A name of PocketBase has nothing that is special in an expression.
    const own = new RegExp(`\\b${files.name}\\b`, 'i');
    const views = collections.filter(
      ({ type, system, name, ...view }) =>
        type === 'view' && !system && !name.startsWith('asset_') && own.test(queryOf(view)),
    );
    return [
      `create schema if not exists ${identifier(place.view)};`,
      `create or replace view ${identifier(place.view)}.${identifier(files.name)} as select`,
      `${columns.join(',\n')}\nfrom ${table} f;`,
      ...views.map((view) => {
        const query = queryOf(view).replaceAll('\n', '\n--   ');
        return `\n-- The view ${view.name} of PocketBase, to be made with ${identifier(place.view)} in the search_path:\n--   ${query}`;
      }),
      '',
    ].join('\n');
  } finally {
    client.close();
  }
}

/** Parts of a record. Those that are missing are of the service alone. */
const VALUES: Readonly<Partial<Record<FieldName, string>>> = {
  name: 'f.name',
  contentType: 'f.content_type',
  sizeBytes: 'f.size_bytes',
  sha256: `coalesce(encode(f.sha256, 'hex'), '')`,
  crc32c: `coalesce(lpad(to_hex(f.crc32c), 8, '0'), '')`,
  owner: 'f.owner',
  usage: 'f.usage',
  createdBy: 'f.created_by',
  createdFor: 'f.created_for',
  createTime: time('f.create_time'),
  updateTime: time('f.update_time'),
  deleteTime: time('f.delete_time'),
  purgeTime: time('f.purge_time'),
};

/** A time in milliseconds as PocketBase writes it; empty if there is none. */
function time(column: string): string {
  const utc = `to_timestamp(${column} / 1000.0) at time zone 'utc'`;
  return `coalesce(to_char(${utc}, 'YYYY-MM-DD HH24:MI:SS.MS"Z"'), '')`;
}

function relation(field: CollectionField, { tables }: ViewPlace): string {
  const rows = `from ${identifier(tables)}.file_relations r where r.file_id = f.id and r.name = ${literal(field.name)}`;
  return isMultiple(field)
    ? `coalesce((select jsonb_agg(r.target order by r.position) ${rows}), '[]')`
    : `coalesce((select r.target ${rows} and r.position = 0), '')`;
}

function attribute(field: CollectionField): string {
  const [value, text] = [`f.attributes -> ${literal(field.name)}`, `f.attributes ->> ${literal(field.name)}`];
  switch (field.type) {
    case 'number':
      return `coalesce((${text})::numeric, 0)`;
    case 'bool':
      return `coalesce((${text})::boolean, false)`;
    case 'json':
    case 'geoPoint':
      return value;
    default:
      return isMultiple(field) ? `coalesce(${value}, '[]')` : `coalesce(${text}, '')`;
  }
}

function queryOf(view: object): string {
  const { viewQuery } = view as { readonly viewQuery?: unknown };
  return typeof viewQuery === 'string' ? viewQuery : '';
}

function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
