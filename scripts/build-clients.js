/**
 * Builds the TypeScript clients: `npm run build:clients`, and `npm ci` by way of `prepare`.
 *
 * The compiler mends the ending of relative imports in JavaScript, but leaves it in declarations, where `./x.ts` would
 * point a caller at a file that is not in the package. So that is done here.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const clients = ['core', 'worker', 'bff'].map((name) => join(root, 'clients', name));

/** Where the compiler is; undefined after an installation without development dependencies, which needs no clients. */
function findCompiler() {
  try {
    return createRequire(import.meta.url).resolve('typescript/lib/tsc.js');
  } catch {
    return undefined;
  }
}

const compiler = findCompiler();
if (compiler === undefined) {
  console.log('build-clients: TypeScript is not installed, nothing was built');
} else {
  execFileSync(
    process.execPath,
    [compiler, '-b', ...clients.map((client) => join(client, 'tsconfig.build.json'))],
    { cwd: root, stdio: 'inherit' },
  );
  for (const dist of clients.map((client) => join(client, 'dist'))) {
    for (const name of readdirSync(dist).filter((file) => file.endsWith('.d.ts'))) {
      const before = readFileSync(join(dist, name), 'utf8');
      const after = before.replaceAll(/(['"]\.\.?\/[^'"]+)\.ts(['"])/g, '$1.js$2');
      if (after !== before) writeFileSync(join(dist, name), after);
    }
  }
}
