/**
 * Builds the TypeScript clients: `npm run build:clients`, and `npm ci` by way of `prepare`. Each becomes a package of ES modules in
 * `dist`, and the same for `require` in `dist/cjs`.
 *
 * The compiler mends the ending of relative imports in JavaScript, but leaves it in declarations, where `./x.ts` would
 * point a caller at a file that is not in the package. So that is done here.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
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

/** Writes a file only if that changes it, so that whoever watches it is not woken for nothing. */
function write(path, text) {
  if (!existsSync(path) || readFileSync(path, 'utf8') !== text) writeFileSync(path, text);
}

/** Mends the declarations of a client, and makes the modules for `require` from those that the compiler wrote. */
function finish(dist, transformSync) {
  const cjs = join(dist, 'cjs');
  mkdirSync(cjs, { recursive: true });
  // The compiler and Node.js read the files beside it as CommonJS.
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

const compiler = findCompiler();
if (compiler === undefined) {
  console.log('build-clients: TypeScript is not installed, nothing was built');
} else {
  execFileSync(
    process.execPath,
    [compiler, '-b', ...clients.map((client) => join(client, 'tsconfig.build.json'))],
    { cwd: root, stdio: 'inherit' },
  );
  const { transformSync } = await import('@swc/core');
  for (const client of clients) finish(join(client, 'dist'), transformSync);
}
