import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { basename, delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { transform } from 'esbuild';
import { parse as parseYaml } from 'yaml';
import { commands } from '../../src/cli/program.ts';
import { FLAGS, ROOT } from '../support/install.ts';
import { freePort } from '../support/ports.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';

const run = promisify(execFile);

/** A part of a page whose shell commands are run here, in order, by one shell that ends at the first failure. */
interface Part {
  readonly page: string;
  /** Only the blocks below this heading, or all. */
  readonly heading?: string;
  /** Number of blocks at the beginning that are not run, and why. */
  readonly without?: { readonly blocks: number; readonly because: string };
  /** Commands before those of the page. */
  readonly before?: string;
  /** Texts of the page that a reader replaces too. */
  readonly replaced?: Readonly<Record<string, string>>;
  /** True if the commands start a service of their own. */
  readonly starts?: true;
  /** What the output has, in order. */
  readonly shows: RegExp;
}

const PARTS: readonly Part[] = [
  {
    page: 'quick-start.md',
    without: { blocks: 1, because: 'readme.test.ts installs a clone' },
    starts: true,
    shows:
      /SERVING[^]*"usage": "report"[^]*refused: CONTENT_TYPE_NOT_ALLOWED\n(\w{15})\n\1\nAll is well\.[^]*reviewed[^]*Report of Monday\.txt[^]*"type":"created"/,
  },
  {
    page: 'command-line.md',
    before: `
      mkdir photos folder; echo a > photos/a.txt; echo pdf > report.pdf
      pg_dump() { echo 'create table t ();'; }
      one=$(asset-service upload report.pdf -q); two=$(asset-service upload photos/a.txt -q)`,
    // The first download is to an empty directory.
    replaced: {
      ID1: '"$one"',
      ID2: '"$two"',
      'asset-service download ID  ': 'rm report.pdf; asset-service download "$one"  ',
      ID: '"$one"',
      'gzip  ': 'gzip | gunzip ',
    },
    shows: /"usage": "report"[^]*"name": "app\.sql"[^]*"path":"photos\/a\.txt"[^]*copy\.pdf\npdf\n[^]*a\.txt/,
  },
  {
    page: 'upgrade.md',
    before: 'asset-service migrate; mkdir -p data/blobs',
    shows: /applied 0001_files[^]*0 files/,
  },
  {
    page: 'operations.md',
    heading: 'The deep sweep',
    // It refuses a catalog without files.
    before: `
      asset-service serve & until asset-service health; do sleep 1; done
      echo text | asset-service upload - --name text.txt -q; kill %1; wait %1`,
    starts: true,
    shows: /SERVING\n\w{15}\nchecked [^]*nothing was removed\nchecked /,
  },
  {
    page: 'security.md',
    heading: 'Users and services in development',
    before: 'echo photo > photo.jpg',
    replaced: { 'asset-service serve': 'asset-service serve & until asset-service health; do sleep 1; done' },
    starts: true,
    shows: /SERVING[^]*"createdBy": "bff"/,
  },
];

/** Pages whose code another test runs, as it stands on the page. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  'bff.md': 'test/integration/example-bff/docs.test.ts',
  'browser.md': 'test/e2e/browser.test.ts',
  'clients.md': 'clients/python/tests/test_readme.py',
  'datasets.md': 'clients/python/tests/test_readme.py',
  'machine-learning.md': 'clients/python/tests/test_readme.py',
  'migration.md': 'test/integration/migration-runbook.test.ts',
  'moving.md': 'test/move/moving-runbook.test.ts',
  'other-languages.md': 'test/integration/other-languages.test.ts',
  'usage-policies.md': 'test/unit/policy/policy-file.test.ts',
  'workers.md': 'test/integration/clients-packed.test.ts',
};

/** Pages whose code is only checked below: it needs names of an installation, or shows a part of a program. */
const CHECKED: readonly string[] = [
  'adding-a-driver.md',
  'backup.md',
  'clusters.md',
  'events.md',
  'kubernetes.md',
  'pocketbase.md',
  'publishing.md',
  'variants.md',
];

const textOf = (page: string) => readFileSync(join(ROOT, 'docs', page), 'utf8');

/** The shell blocks of a page, without the indentation of a list. */
function blocksOf({ page, heading }: Part): string[] {
  let text = textOf(page);
  if (heading !== undefined) text = text.slice(text.search(new RegExp(`^#+ ${heading}$`, 'm')));
  const [, below = text] =
    heading === undefined ? [] : (/^#.*\n([^]*?)(?=^##)/m.exec(`${text}\n## end`) ?? []);
  return [...below.matchAll(/^( *)```sh\n([^]*?)^\1```/gm)].map(([, indent, code]) =>
    code!.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
  );
}

describe('the commands on the pages', () => {
  let dir: string;
  let service: Service;
  beforeAll(async () => {
    dir = await makeDir('snippets');
    service = await startService();
    const program = [process.execPath, ...FLAGS, join(ROOT, 'src', 'main.ts')];
    await mkdir(join(dir, 'bin'));
    await writeFile(join(dir, 'bin', 'asset-service'), `#!/bin/sh\nexec ${program.join(' ')} "$@"\n`, {
      mode: 0o755,
    });
  });
  afterAll(async () => {
    await service?.dispose();
    await removeDir(dir);
  });

  it.each(PARTS)(
    'do what $page says',
    async (part) => {
      const blocks = blocksOf(part).slice(part.without?.blocks ?? 0);
      expect(blocks.length).toBeGreaterThan(0);
      let code = blocks.join('\n');
      for (const [from, to] of Object.entries(part.replaced ?? {}))
        code = code.replaceAll(new RegExp(`(?<!["\\w])${from}(?!\\w)`, 'g'), () => to);
      const script = `set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n${part.before ?? ''}\n${code}`;
      const address = part.starts ? `127.0.0.1:${await freePort()}` : new URL(service.url).host;
      const { stdout } = await run('/bin/bash', ['-c', script], {
        cwd: await mkdtemp(join(dir, 'page-')),
        env: {
          PATH: [join(dir, 'bin'), process.env['PATH']].join(delimiter),
          HOME: dir,
          ASSET_URL: `http://${address}`,
          ...(part.starts && { ASSET_LISTEN: address }),
        },
        timeout: 120_000,
      });
      // Without the log of a service that the commands started.
      expect(stdout.replaceAll(/^\{"level".*\n/gm, '')).toMatch(part.shows);
    },
    150_000,
  );
});

const PAGES = globSync('docs/*.md', { cwd: ROOT })
  .map((path) => basename(path))
  .filter((page) => page !== 'api.md');

/** The code of a page in one of these languages. */
const codeOf = (page: string, ...languages: string[]) =>
  [...textOf(page).matchAll(/^( *)```(\w+)\n([^]*?)^\1```/gm)]
    .filter(([, , language]) => languages.includes(language!))
    .map(([, , , code]) => code!);

describe('the code on the pages', () => {
  const pages = PAGES.filter((page) => codeOf(page, 'sh', 'ts', 'js', 'python', 'json', 'yaml').length > 0);

  it.each(pages)('is run by a test, or named as not run: %s', (page) => {
    const test = ELSEWHERE[page];
    if (test === undefined) {
      expect([...PARTS.map((part) => part.page), ...CHECKED]).toContain(page);
    } else {
      expect(existsSync(join(ROOT, test))).toBe(true);
      expect(readFileSync(join(ROOT, test), 'utf8')).toContain(page);
    }
  });

  it.each(pages)('can be parsed: %s', async (page) => {
    for (const code of codeOf(page, 'sh')) await run('/bin/bash', ['-n', '-c', code]);
    // Parts of programs, which the test of the page compares with the whole.
    for (const code of page === 'clients.md' ? [] : codeOf(page, 'ts'))
      await transform(code, { loader: 'ts', target: 'esnext' });
    for (const code of codeOf(page, 'yaml')) parseYaml(code);
    for (const code of codeOf(page, 'json')) {
      // Lines of JSON, or one document.
      const lines = code.trim().split('\n');
      for (const json of lines.every((line) => /^[[{].*[\]}]$/.test(line)) ? lines : [code]) JSON.parse(json);
    }
  });

  it.each(PAGES)('names only commands and options that exist: %s', (page) => {
    const unknown: string[] = [];
    const root = commands();
    const inline = [...textOf(page).matchAll(/`(asset-service [^`\n]+)`/g)].map(([, code]) => code!);
    for (const line of [...codeOf(page, 'sh'), ...inline].flatMap((code) => code.split('\n'))) {
      for (const [call] of line.replace(/ #.*/, '').matchAll(/(?<![\w/-])asset-service [a-z][^|;&)]*/g)) {
        const words = call.split(/\s+/).slice(1);
        let command = root;
        for (const word of words) {
          const next = command.commands.find((each) => [each.name(), ...each.aliases()].includes(word));
          if (next === undefined) break;
          command = next;
        }
        const known = command.options.flatMap(({ short, long }) => [short, long]);
        const options = words.flatMap((word) => /^(-\w$|--[a-z][\w-]*)/.exec(word)?.[1] ?? []);
        if (command === root || options.some((each) => each !== '--help' && !known.includes(each)))
          unknown.push(call);
      }
    }
    expect(unknown).toEqual([]);
  });
});
