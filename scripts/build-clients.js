/**
 * Builds the TypeScript clients: `npm run build:clients`, and `npm ci` through `prepare`. Each gets ES modules in
 * `dist` and CommonJS modules in `dist/cjs`.
 *
 * The compiler rewrites the extensions of relative imports in JavaScript but not in declarations, where `./x.ts`
 * would name a file outside the package. This script does that.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const browser = join(root, 'clients', 'browser');
const clients = ['core', 'worker', 'bff'].map((name) => join(root, 'clients', name));

/** Path of the compiler; undefined in an installation without development dependencies, which needs no clients. */
function findCompiler() {
  try {
    return createRequire(import.meta.url).resolve('typescript/lib/tsc.js');
  } catch {
    return undefined;
  }
}

/** Writes a file only if its content changes, so that watchers do not react. */
function write(path, text) {
  if (!existsSync(path) || readFileSync(path, 'utf8') !== text) writeFileSync(path, text);
}

/** Corrects the declarations of a client and makes CommonJS modules from the compiled ones. */
function finish(dist, transformSync) {
  const cjs = join(dist, 'cjs');
  mkdirSync(cjs, { recursive: true });
  // Tells the compiler and Node.js that the files beside it are CommonJS.
  write(join(cjs, 'package.json'), '{ "type": "commonjs" }\n');
  for (const name of readdirSync(dist).filter((file) => file.endsWith('.d.ts'))) {
    const text = readFileSync(join(dist, name), 'utf8').replaceAll(
      /(['"]\.\.?\/[^'"]+)\.ts(['"])/g,
      '$1.js$2',
    );
    write(join(dist, name), text);
    write(join(cjs, name), text.replace(/\n\/\/# sourceMappingURL=.*\n?$/, '\n'));
  }
  for (const name of readdirSync(dist).filter((file) => file.endsWith('.js'))) {
    const { code, map } = transformSync(readFileSync(join(dist, name), 'utf8'), {
      filename: join(dist, name),
      swcrc: false,
      isModule: true,
      jsc: { target: 'es2024', parser: { syntax: 'ecmascript' } },
      module: { type: 'commonjs' },
      sourceMaps: true,
      inputSourceMap: readFileSync(join(dist, `${name}.map`), 'utf8'),
    });
    write(join(cjs, name), `${code.trimEnd()}\n//# sourceMappingURL=${name}.map\n`);
    write(join(cjs, `${name}.map`), map.replaceAll('"../src/', '"../../src/'));
  }
}

/** Corrects the declarations of the browser's client, and makes one file of its worker, which can import no packages. */
async function finishBrowser(dist) {
  for (const name of readdirSync(dist).filter((file) => file.endsWith('.d.ts'))) {
    const text = readFileSync(join(dist, name), 'utf8');
    write(join(dist, name), text.replaceAll(/(['"]\.\.?\/[^'"]+)\.ts(['"])/g, '$1.js$2'));
  }
  const { buildSync } = await import('esbuild');
  const worker = join(dist, 'hash-worker.js');
  const bundle = { bundle: true, minify: true, format: 'esm', target: 'es2022', write: false };
  const { outputFiles } = buildSync({ entryPoints: [worker], ...bundle });
  write(worker, outputFiles[0].text);
}

const compiler = findCompiler();
if (compiler === undefined) {
  console.log('build-clients: TypeScript is not installed, nothing was built');
} else {
  execFileSync(
    process.execPath,
    [compiler, '-b', ...[...clients, browser].map((client) => join(client, 'tsconfig.build.json'))],
    { cwd: root, stdio: 'inherit' },
  );
  const { transformSync } = await import('@swc/core');
  for (const client of clients) finish(join(client, 'dist'), transformSync);
  await finishBrowser(join(browser, 'dist'));
}
