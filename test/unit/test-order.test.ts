import { expect, it } from '@jest/globals';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');

/** The part of the sequencer that Jest calls. */
interface Sequencer {
  sort(tests: readonly object[]): readonly { readonly path: string }[];
}

const { default: SlowestFirst } = (await import(join(ROOT, 'test', 'support', 'slowest-first.js'))) as {
  readonly default: new (options: object) => Sequencer;
};

const seconds = JSON.parse(
  await readFile(join(ROOT, 'test', 'support', 'test-seconds.json'), 'utf8'),
) as Record<string, number>;

/** The order of the run on a machine that has no times of an earlier one. */
function ordered(sizes: Readonly<Record<string, number>>): string[] {
  const context = {
    config: { rootDir: ROOT, cache: false },
    hasteFS: { getSize: (path: string) => sizes[path.slice(ROOT.length + 1)] },
  };
  const tests = Object.keys(sizes).map((path) => ({ path: join(ROOT, path), context }));
  const sorted = new SlowestFirst({}).sort(tests);
  return sorted.map(({ path }) => path.slice(ROOT.length + 1));
}

it('a fresh clone starts the slowest files first, and of the others the largest', () => {
  const slow = Object.entries(seconds)
    .toSorted(([, a], [, b]) => a - b)
    .map(([path]) => path);
  const sizes = { 'test/small.test.ts': 10, 'test/large.test.ts': 9_000 };
  const order = ordered({ ...sizes, ...Object.fromEntries(slow.map((path) => [path, 500])) });
  const times = order.slice(0, slow.length).map((path) => seconds[path]);
  expect(times).toEqual(Object.values(seconds).toSorted((a, b) => b - a));
  expect(order.slice(slow.length)).toEqual(['test/large.test.ts', 'test/small.test.ts']);
});

it('the list of slow files names files that are there', () => {
  expect(Object.keys(seconds).filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
});
