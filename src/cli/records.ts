import type { AssetFile } from '@asset-service/worker';
import stringWidth from 'string-width';
import { sizeAsText } from './progress.ts';
import { print, printable } from './terminal.ts';

/** How records are printed. */
export interface RecordFlags {
  /** True for JSON, a line each, also on a terminal. */
  readonly json?: true;
  /** True for a table, also where the output is no terminal. */
  readonly table?: true;
}

/** Records that decide together how wide the columns of a table are. */
const BATCH = 100;

/** Greatest width of a column, in characters, where there is room. */
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
 * Prints records as they come: a table on a terminal, else a JSON line each. Stops where nobody reads them.
 *
 * @param options - `deleted` is true to say of each when it was deleted; `limit` is how many are printed at most
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
    const isRead = await (table === undefined ? print(JSON.stringify(file)) : table.add(file));
    // Before the next page is asked for.
    if (!isRead || --left <= 0) break;
  }
  await table?.flush();
}

/**
 * Prints one record: its fields on a terminal, else JSON; of several records, a JSON line each.
 *
 * @returns false if nobody reads it
 */
export function printRecord(file: AssetFile, flags: RecordFlags, isOneOfMany = false): Promise<boolean> {
  if (isForPeople(flags)) return print(fieldsAsText(file) + (isOneOfMany ? '\n' : ''));
  return print(flags.json || isOneOfMany ? JSON.stringify(file) : JSON.stringify(file, null, 2));
}

function isForPeople({ json, table }: RecordFlags): boolean {
  return !json && (table ?? process.stdout.isTTY);
}

/** Prints rows in columns that are as wide as their first texts. */
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
    // A terminal that does not know how wide it is says 0.
    const room = process.stdout.columns || Infinity;
    const total = () => widths.reduce((sum, width) => sum + width + 2, -2);
    // An id or a time that is cut is of no use; what people wrote is.
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

/** A time as the clock on the wall has it; empty where there is none. */
function timeAsText(time: Date | undefined): string {
  return time === undefined ? '' : time.toLocaleString('sv-SE', { dateStyle: 'short', timeStyle: 'short' });
}
