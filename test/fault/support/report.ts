import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../support/install.ts';
import type { Ledger } from './ledger.ts';

/** True for the long run, `npm run test:fault`. */
export const FULL = process.env.ASSET_TEST_FAULT === 'full';

const PAGE = join(ROOT, 'docs', 'reliability.md');
const PRETTIER = join(ROOT, 'node_modules', 'prettier', 'bin', 'prettier.cjs');
const HEAD =
  'scenario | points hit | kills | outages | uploads | updates | lost | half-visible | duplicate | orphans';
const [BEGIN, END] = ['<!-- results -->', '<!-- end of results -->'];

/** Prints the result of a scenario; a full run also writes it to the table of docs/reliability.md. */
export function report(scenario: string, { counts, broken }: Ledger): void {
  const cells = [
    ...[scenario, counts.pointsHit.size, counts.kills, counts.outages, counts.acknowledged, counts.updates],
    ...[counts.lost, counts.halfVisible, counts.duplicate, counts.orphans],
  ];
  process.stdout.write(`\n| ${HEAD} |\n| ${cells.join(' | ')} |\n`);
  for (const line of broken) process.stdout.write(`  broken: ${line}\n`);
  if (FULL) writeRow(scenario, `| ${cells.join(' | ')} |`);
}

function writeRow(scenario: string, row: string): void {
  const page = readFileSync(PAGE, 'utf8');
  const [start, end] = [page.indexOf(BEGIN) + BEGIN.length, page.indexOf(END)];
  const rows = page
    .slice(start, end)
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(2)
    .filter((line) => !line.startsWith(`| ${scenario} `));
  const line = HEAD.split(' | ').map((_cell, index) => (index === 0 ? '---' : '--:'));
  const table = [`| ${HEAD} |`, `| ${line.join(' | ')} |`, ...rows, row].join('\n');
  writeFileSync(PAGE, `${page.slice(0, start)}\n\n${table}\n\n${page.slice(end)}`);
  execFileSync(process.execPath, [PRETTIER, '--write', PAGE]);
}
