import type { AssetFile } from '@asset-service/worker';
import stringWidth from 'string-width';
import { sizeAsText, print, printable } from './terminal.ts';

/** Flags for the output of records. */
export interface RecordFlags {
  /** True for JSON, one line each, also on a terminal. */
  readonly json?: true;
  /** True for a table, also if standard output is not a terminal. */
  readonly table?: true;
  /** True for ids alone. */
  readonly quiet?: true;
}

/** Number of records that determine the column widths. */
const BATCH = 100;

/** Maximum width of a column in characters. */
const MAX_WIDTH = 40;
const MIN_WIDTH = 8;

interface Column {
  readonly title: string;
  readonly text: (file: AssetFile) => string;
  readonly alignRight?: true;
}

const COLUMNS: readonly Column[] = [
  { title: 'ID', text: ({ id }) => id },
  { title: 'NAME', text: ({ name }) => name },
  { title: 'TYPE', text: ({ contentType }) => contentType },
  { title: 'SIZE', text: ({ sizeBytes }) => sizeAsText(sizeBytes), alignRight: true },
  { title: 'OWNER', text: ({ owner }) => owner },
  { title: 'USAGE', text: ({ usage }) => usage },
  { title: 'CREATED', text: ({ createTime }) => timeAsText(createTime) },
];

const DELETED: Column = { title: 'DELETED', text: ({ deleteTime }) => timeAsText(deleteTime) };

/**
 * Prints records as they arrive: a table on a terminal, otherwise one line of JSON each. Stops if nobody reads
 * them.
 *
 * @param options - `deleted` adds the time of deletion; `limit` is the maximum number of records
 */
export async function printRecords(
  files: AsyncIterable<AssetFile>,
  flags: RecordFlags,
  options: { readonly deleted: boolean; readonly limit: number },
): Promise<void> {
  const table = isForPeople(flags)
    ? new Table([...COLUMNS, ...(options.deleted ? [DELETED] : [])])
    : undefined;
  let left = options.limit;
  for await (const file of files) {
    const isRead = await (table === undefined ? print(lineOf(file, flags)) : table.add(file));
    // Before the next page is requested.
    if (!isRead || --left <= 0) break;
  }
  await table?.flush();
}

/**
 * Prints one record: its fields on a terminal, otherwise JSON. If there are several records, one line of JSON each.
 *
 * @returns false if nobody reads it
 */
export function printRecord(file: AssetFile, flags: RecordFlags, isOneOfMany = false): Promise<boolean> {
  if (isForPeople(flags)) return print(fieldsAsText(file) + (isOneOfMany ? '\n' : ''));
  return print(flags.json || isOneOfMany ? JSON.stringify(file) : JSON.stringify(file, null, 2));
}

/** One line for programs: a file as JSON, or only its id. */
export function lineOf(
  file: AssetFile & { readonly path?: string },
  { quiet }: Pick<RecordFlags, 'quiet'>,
): string {
  return quiet ? file.id : JSON.stringify(file);
}

function isForPeople({ json, table, quiet }: RecordFlags): boolean {
  return !json && !quiet && (table ?? process.stdout.isTTY);
}

/** Prints rows in columns whose widths come from the first rows. */
class Table {
  readonly #columns: readonly Column[];
  #rows: string[][] = [];
  #widths: number[] | undefined;

  constructor(columns: readonly Column[]) {
    this.#columns = columns;
  }

  /** Adds a row; false if nobody reads the table. */
  async add(file: AssetFile): Promise<boolean> {
    this.#rows.push(this.#columns.map(({ text }) => printable(text(file)).replaceAll(/\s/gu, ' ')));
    return this.#rows.length < BATCH || this.flush();
  }

  /** Prints the rows that were added; false if nobody reads them. */
  async flush(): Promise<boolean> {
    const rows = this.#rows;
    if (rows.length === 0) return true;
    this.#rows = [];
    if (this.#widths === undefined) {
      rows.unshift(this.#columns.map(({ title }) => title));
      this.#widths = this.#fitting(rows);
    }
    return print(rows.map((row) => this.#line(row)).join('\n'));
  }

  #fitting(rows: readonly string[][]): number[] {
    const widths = this.#columns.map((_column, index) =>
      Math.min(MAX_WIDTH, Math.max(...rows.map((row) => stringWidth(row[index]!)))),
    );
    // A terminal with unknown width reports 0 columns.
    const room = process.stdout.columns || Infinity;
    const total = () => widths.reduce((sum, width) => sum + width + 2, -2);
    // Shortens texts of people only: a shortened id or time is useless.
    for (const index of [1, 2, 4, 5]) {
      const tooWide = total() - room;
      if (tooWide > 0)
        widths[index] = Math.min(widths[index]!, Math.max(MIN_WIDTH, widths[index]! - tooWide));
    }
    return widths;
  }

  #line(row: readonly string[]): string {
    return row
      .map((text, index) => padded(text, this.#widths![index]!, this.#columns[index]!.alignRight === true))
      .join('  ')
      .trimEnd();
  }
}

function padded(text: string, width: number, alignRight: boolean): string {
  let shown = text;
  if (stringWidth(text) > width) {
    const characters = Array.from(new Intl.Segmenter().segment(text), ({ segment }) => segment);
    do characters.pop();
    while (characters.length > 0 && stringWidth(characters.join('')) > width - 1);
    shown = `${characters.join('')}…`;
  }
  const space = ' '.repeat(Math.max(0, width - stringWidth(shown)));
  return alignRight ? space + shown : shown + space;
}

function fieldsAsText(file: AssetFile): string {
  const { relations, attributes } = file;
  const fields: [string, string | undefined][] = [
    ['id', file.id],
    ['name', file.name],
    ['type', file.contentType],
    ['size', `${file.sizeBytes} bytes`],
    ['sha256', file.sha256],
    ['owner', file.owner],
    ['usage', file.usage],
    ...Object.entries(relations).map(([name, ids]): [string, string] => [
      `relations.${name}`,
      ids.join(', '),
    ]),
    ...Object.entries(attributes).map(([name, value]): [string, string] => [
      `attributes.${name}`,
      typeof value === 'string' ? value : JSON.stringify(value),
    ]),
    ['etag', file.etag],
    ['created', timeAsText(file.createTime)],
    ['created by', file.createdBy],
    ['updated', timeAsText(file.updateTime)],
    ['deleted', timeAsText(file.deleteTime)],
    ['purged after', timeAsText(file.purgeTime)],
  ];
  const shown = fields.filter(([, value]) => value !== undefined && value !== '');
  const width = Math.max(...shown.map(([name]) => stringWidth(printable(name))));
  return shown
    .map(([name, value]) => `${padded(printable(name), width, false)}  ${printable(value!)}`)
    .join('\n');
}

/** A time in the local time zone; empty if undefined. */
function timeAsText(time: Date | undefined): string {
  return time === undefined ? '' : time.toLocaleString('sv-SE', { dateStyle: 'short', timeStyle: 'short' });
}
