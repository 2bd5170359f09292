import { expect, it } from '@jest/globals';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import ts from 'typescript';
import { ROOT } from '../support/install.ts';

/** Files by the files that they import. A path in them is relative to the root. */
type Imports = ReadonlyMap<string, readonly string[]>;

/** What the files import from each other: values, types and dynamic imports. */
function importsOf(files: readonly string[], read: (file: string) => string): Imports {
  return new Map(
    files.map((file) => {
      const { importedFiles } = ts.preProcessFile(read(file));
      const own = importedFiles.filter(({ fileName }) => fileName.startsWith('.'));
      return [file, own.map(({ fileName }) => join(dirname(file), fileName))];
    }),
  );
}

/** The first circle that a search in depth finds, as a path from a file back to it; empty if there is none. */
function circleIn(imports: Imports): readonly string[] {
  const done = new Set<string>();
  const search = (file: string, path: readonly string[]): readonly string[] => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return [];
    for (const imported of imports.get(file) ?? []) {
      const circle = search(imported, [...path, file]);
      if (circle.length > 0) return circle;
    }
    done.add(file);
    return [];
  };
  for (const file of imports.keys()) {
    const circle = search(file, []);
    if (circle.length > 0) return circle;
  }
  return [];
}

it.each(['src', 'clients/{core,worker,bff,browser}/src'])(
  'no file of %s imports itself by way of others',
  (dir) => {
    const files = globSync(`${dir}/**/*.ts`, { cwd: ROOT });
    expect(files.length).toBeGreaterThan(5);
    const imports = importsOf(files, (file) => readFileSync(join(ROOT, file), 'utf8'));
    // Imports are found, and lead to files that were read.
    expect([...imports.values()].flat().filter((file) => imports.has(file)).length).toBeGreaterThan(5);
    expect(circleIn(imports)).toEqual([]);
  },
);

it.each([
  ["import type { B } from './b.ts';", "import { A } from '../room/a.ts';"],
  ["export * from './b.ts';", "type A = import('./a.ts').A;"],
  ["const b = () => import('./b.ts');", "import './c.ts';"],
])('finds a circle: %s and %s', (a, b) => {
  const sources: Record<string, string> = {
    ...{ 'room/main.ts': "import './a.ts';", 'room/a.ts': a, 'room/b.ts': b },
    'room/c.ts': "export { A } from './a.ts';",
  };
  const circle = circleIn(importsOf(Object.keys(sources), (file) => sources[file]!));
  expect(circle.slice(0, 2)).toEqual(['room/a.ts', 'room/b.ts']);
  expect(circle.at(-1)).toBe('room/a.ts');
});
