import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { transform } from 'esbuild';
import { parse as parseYaml } from 'yaml';
import { commands } from '../../src/cli/program.ts';
import { FLAGS, ROOT } from '../support/install.ts';
import { freePort } from '../support/ports.ts';
import { makeDir, programEnv, removeDir } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';
import { ELSEWHERE, NOT_RUN } from './docs-snippets/elsewhere.ts';
import { PARTS, type Part } from './docs-snippets/parts.ts';
import { PROGRAMS } from './docs-snippets/programs.ts';
import type { Setting } from './docs-snippets/settings.ts';
import {
  find,
  isOne,
  PAGES,
  snippetsOf,
  textOf,
  type Snippet,
  type Counted,
} from './docs-snippets/snippets.ts';

const run = promisify(execFile);

/** The shell blocks of a part that no other test runs. */
const blocksOf = (part: Part) =>
  find({ ...part, language: 'sh' }).filter(
    (snippet) => ![...ELSEWHERE, ...NOT_RUN].some((which) => isOne(which, snippet)),
  );

/** Why a part cannot run here. */
const missing = ({ needs = [] }: Part) =>
  needs.find((program) => spawnSync('/bin/sh', ['-c', `command -v ${program}`]).status !== 0);

/** The code with what a reader replaces, and what a test adds between the blocks. */
function scriptOf(part: Part, setting: Setting): string {
  const script = blocksOf(part).flatMap(({ code }, at) => {
    let replaced = code;
    for (const [from, to] of Object.entries({ ...setting.replaced, ...part.replaced }))
      replaced = replaced.replaceAll(
        new RegExp(`(?<!["\\w])${from.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')}(?!\\w)`, 'g'),
        () => to,
      );
    return [replaced, part.after?.[at] ?? ''];
  });
  const end = `trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT`;
  return ['set -euo pipefail', end, part.before ?? '', ...script].join('\n');
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

  for (const part of PARTS) {
    const title = `do what ${part.page} says${part.heading ? ` below "${part.heading}"` : ''}`;
    const program = missing(part);
    if (program !== undefined) it.skip(`${title}: ${program} is not installed`, () => {});
    else it(title, () => runPart(part), 150_000);
  }

  async function runPart(part: Part): Promise<void> {
    const cwd = await mkdtemp(join(dir, 'page-'));
    const setting = (await part.setUp?.(cwd)) ?? {};
    try {
      const address = part.starts ? `127.0.0.1:${await freePort()}` : new URL(service.url).host;
      const { stdout } = await run('/bin/bash', ['-c', scriptOf(part, setting)], {
        cwd,
        env: {
          ...(part.npm && withoutSettings(process.env)),
          ...programEnv(),
          PATH: [join(dir, 'bin'), process.env['PATH']].join(delimiter),
          HOME: part.npm ? process.env['HOME'] : dir,
          ASSET_URL: `http://${address}`,
          ...(part.starts && { ASSET_LISTEN: address }),
          ...setting.env,
        },
        timeout: 120_000,
        maxBuffer: 2 ** 26,
      });
      // Without the log of a service that the commands started.
      expect(stdout.replaceAll(/^\{"level".*\n/gm, '')).toMatch(part.shows);
      await setting.check?.();
    } finally {
      await setting.dispose?.();
    }
  }
});

/** An environment without settings of the service, of AWS and of this run. */
const withoutSettings = (env: NodeJS.ProcessEnv) =>
  Object.fromEntries(Object.entries(env).filter(([name]) => !/^(?:ASSET_|AWS_|NODE_OPTIONS$)/.test(name)));

/** What runs a block, or why nothing does. */
const waysOf = (snippet: Snippet): readonly string[] => [
  ...PARTS.filter((part) =>
    blocksOf(part).some(({ page, code }) => page === snippet.page && code === snippet.code),
  ).map(() => 'here'),
  ...Object.entries(PROGRAMS).flatMap(([name, those]) =>
    those.some((which) => isOne(which, snippet)) ? [name] : [],
  ),
  ...ELSEWHERE.filter((which) => isOne(which, snippet)).map(({ test }) => test),
  ...NOT_RUN.filter((which) => isOne(which, snippet)).map(({ because }) => because),
];

describe('the code on the pages', () => {
  const pages = PAGES.filter((page) => snippetsOf(page).length > 0);
  const codesOf = (page: string, language: string) => find({ page, language }).map(({ code }) => code);

  it.each(pages)('is run by one test, or named as not run: %s', (page) => {
    for (const snippet of snippetsOf(page))
      expect([snippet.code, waysOf(snippet)]).toEqual([snippet.code, [expect.any(String)]]);
  });

  it('is there for everything that is said of it', () => {
    const all: readonly Counted[] = [...Object.values(PROGRAMS).flat(), ...ELSEWHERE, ...NOT_RUN];
    for (const which of all) expect([which, find(which).length]).toEqual([which, which.blocks ?? 1]);
  });

  it.each(ELSEWHERE)('$page is run by $test', ({ page, test, by = page }) => {
    expect(readFileSync(join(ROOT, test), 'utf8')).toContain(by);
  });

  it.each(pages)('can be parsed: %s', async (page) => {
    for (const code of codesOf(page, 'sh')) await run('/bin/bash', ['-n', '-c', code]);
    for (const code of codesOf(page, 'ts')) await transform(code, { loader: 'ts', target: 'esnext' });
    for (const code of codesOf(page, 'yaml')) parseYaml(code);
    for (const code of codesOf(page, 'json')) {
      // Lines of JSON, or one document.
      const lines = code.trim().split('\n');
      for (const json of lines.every((line) => /^[[{].*[\]}]$/.test(line)) ? lines : [code]) JSON.parse(json);
    }
  });

  it.each(PAGES)('names only commands and options that exist: %s', (page) => {
    const unknown: string[] = [];
    const root = commands();
    const inline = [...textOf(page).matchAll(/`(asset-service [^`\n]+)`/g)].map(([, code]) => code!);
    for (const line of [...codesOf(page, 'sh'), ...inline].flatMap((code) => code.split('\n'))) {
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
