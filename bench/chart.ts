import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from '../test/support/install.ts';

const DIR = join(ROOT, 'bench', 'charts');

/** A bar chart. */
export interface Chart {
  /** File name without extension. */
  readonly id: string;
  readonly title: string;
  /** Unit of the values, such as `MiB/s`. */
  readonly unit: string;
  readonly bars: readonly { readonly label: string; readonly value: number; readonly text: string }[];
}

const WIDTH = 760;
const LABELS = 300;
const VALUES = 70;
const ROW = 28;
const TOP = 44;
/** One colour for the service and one for the others; both are visible on light and dark pages. */
const COLOURS = { ours: '#2f81f7', others: '#8b949e' };

/** Draws a chart as SVG. */
export function chartOf({ title, unit, bars }: Chart): string {
  const greatest = Math.max(...bars.map(({ value }) => value));
  const rows = bars.flatMap(({ label, value, text }, index) => {
    const y = TOP + index * ROW;
    const width = Math.round((value / greatest) * (WIDTH - LABELS - VALUES));
    const colour = /^(Asset Service|GetFileUrl|BatchGetFileUrls)/.test(label) ? COLOURS.ours : COLOURS.others;
    return [
      `  <text x="${LABELS - 8}" y="${y + 15}" text-anchor="end">${escape(label)}</text>`,
      `  <rect x="${LABELS}" y="${y}" width="${width}" height="20" rx="3" fill="${colour}"/>`,
      `  <text x="${LABELS + width + 6}" y="${y + 15}">${escape(text)}</text>`,
    ];
  });
  const height = TOP + bars.length * ROW + 4;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" font-family="system-ui, sans-serif" font-size="13" fill="#768390">`,
    `  <title>${escape(title)}, in ${escape(unit)}</title>`,
    `  <text x="8" y="22" font-size="15" font-weight="600">${escape(title)} (${escape(unit)})</text>`,
    ...rows,
    '</svg>',
    '',
  ].join('\n');
}

/** Writes a chart as SVG into bench/charts; returns the Markdown that shows it in bench/results.md. */
export async function writeChart(chart: Chart): Promise<string> {
  await mkdir(DIR, { recursive: true });
  await writeFile(join(DIR, `${chart.id}.svg`), chartOf(chart));
  return `![${chart.title}, in ${chart.unit}](charts/${chart.id}.svg)`;
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
