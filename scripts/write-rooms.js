// Writes the table of rooms in docs/architecture.md from rooms.js; with --check only checks that it is up to date.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { ROOMS } from '../rooms.js';

const path = join(import.meta.dirname, '..', 'docs', 'architecture.md');
const [begin, end] = ['<!-- rooms:begin -->', '<!-- rooms:end -->'];

const code = (text) => `\`${text}\``;
const rows = ROOMS.map(({ name, files, about, imports, packages = [] }) => [
  name,
  [files].flat().map(code).join(', '),
  about,
  imports.includes('*') ? 'everything' : imports.join(', '),
  packages.map(code).join(', '),
]);
const head = ['room', 'files', 'content', 'may import', 'packages bound to it'];
const table = [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

const page = readFileSync(path, 'utf8');
const [from, to] = [page.indexOf(begin) + begin.length, page.indexOf(end)];
// Without the padding that Prettier adds, so that a change of one row changes one line.
const unpadded = `<!-- prettier-ignore-start -->\n\n${table}\n\n<!-- prettier-ignore-end -->`;
const text = `${page.slice(0, from)}\n\n${unpadded}\n\n${page.slice(to)}`;
const wanted = await format(text, { ...(await resolveConfig(path)), filepath: path });
if (!process.argv.includes('--check')) writeFileSync(path, wanted);
else if (page !== wanted) {
  process.stderr.write('docs/architecture.md is not up to date: run npm run docs:rooms\n');
  process.exitCode = 1;
}
