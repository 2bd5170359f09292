// Writes docs/configuration.md from the table of settings; with --check only checks that it is up to date.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { optionsAsMarkdown } from '../src/cli/options-table.ts';
import { OPTIONS } from '../src/config/options/options.ts';

const path = join(import.meta.dirname, '..', 'docs', 'configuration.md');
const page = await format(optionsAsMarkdown(OPTIONS), { ...(await resolveConfig(path)), filepath: path });
if (!process.argv.includes('--check')) writeFileSync(path, page);
else if (readFileSync(path, 'utf8') !== page) {
  process.stderr.write('docs/configuration.md is not up to date: run npm run docs:configuration\n');
  process.exitCode = 1;
}
