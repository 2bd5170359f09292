import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../support/install.ts';
import type { Ledger } from './ledger.ts';

/** True for the long run, `npm run test:fault`. */
export const FULL = process.env.ASSET_TEST_FAULT === 'full';

/** True if the results are written to the page: in the long run and in `npm run test:cluster`. */
const WRITES = FULL || process.env.ASSET_TEST_CLUSTER === 'full';

/** A table of docs/reliability.md that runs write. */
export interface Table {
  /** The comments around it. */
  readonly begin: string;
  readonly end: string;
  /** Titles of its columns, separated by ` | `. */
  readonly head: string;
}

const PAGE = join(ROOT, 'docs', 'reliability.md');
const PRETTIER = join(ROOT, 'node_modules', 'prettier', 'bin', 'prettier.cjs');
const RESULTS: Table = {
  ...{ begin: '<!-- results -->', end: '<!-- end of results -->' },
  head: 'scenario | points hit | kills | outages | uploads | updates | lost | half-visible | duplicate | orphans',
};

/** Prints the result of a scenario; a full run also writes it to the table of docs/reliability.md. */
export function report(scenario: string, { counts, broken }: Ledger): void {
  const cells = [
    ...[scenario, counts.pointsHit.size, counts.kills, counts.outages, counts.acknowledged, counts.updates],
    ...[counts.lost, counts.halfVisible, counts.duplicate, counts.orphans],
  ];
  for (const line of broken) process.stdout.write(`  broken: ${line}\n`);
  writeRow(RESULTS, cells);
}

/** Prints a row; a full run also writes it to its table, in place of an earlier one with the same first cell. */
export function writeRow({ begin, end, head }: Table, cells: readonly (string | number)[]): void {
  const row = `| ${cells.join(' | ')} |`;
  process.stdout.write(`\n| ${head} |\n${row}\n`);
  if (!WRITES) return;
  const page = readFileSync(PAGE, 'utf8');
  const [from, to] = [page.indexOf(begin) + begin.length, page.indexOf(end)];
  const rows = page
    .slice(from, to)
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(2)
    .filter((line) => !line.startsWith(`| ${cells[0]} `));
  const line = head.split(' | ').map((_cell, index) => (index === 0 ? '---' : '--:'));
  const table = [`| ${head} |`, `| ${line.join(' | ')} |`, ...rows, row].join('\n');
  writeFileSync(PAGE, `${page.slice(0, from)}\n\n${table}\n\n${page.slice(to)}`);
  execFileSync(process.execPath, [PRETTIER, '--write', PAGE]);
}
