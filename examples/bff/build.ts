/** Builds the page into `dist`: scripts and styles with the hash of their contents in their names, and the documents that name them. */
import { build } from 'esbuild';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';

const page = join(import.meta.dirname, 'page');
const out = process.env['BFF_PAGE_DIR'] ?? join(import.meta.dirname, 'dist');

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
const { metafile } = await build({
  entryPoints: ['main.ts', 'sign-in.ts', 'signed-in.ts', 'icon.svg'].map((name) => join(page, name)),
  bundle: true,
  format: 'esm',
  splitting: true,
  minify: true,
  sourcemap: 'linked',
  target: 'es2022',
  outdir: out,
  entryNames: '[name]-[hash]',
  chunkNames: 'shared-[hash]',
  assetNames: '[name]-[hash]',
  loader: { '.svg': 'copy' },
  metafile: true,
  logLevel: 'warning',
});

/** Where each built file is served. */
const built = new Map<string, string>();
for (const [path, { entryPoint, cssBundle }] of Object.entries(metafile.outputs)) {
  const url = (file: string) => `/page/${relative(out, join(process.cwd(), file))}`;
  if (entryPoint !== undefined) built.set(basename(entryPoint).replace(/\.ts$/, '.js'), url(path));
  if (entryPoint !== undefined && cssBundle !== undefined)
    built.set(basename(entryPoint).replace(/\.ts$/, '.css'), url(cssBundle));
}
for (const name of ['index', 'sign-in', 'signed-in']) {
  const template = await readFile(join(page, `${name}.html`), 'utf8');
  const html = template.replaceAll(/\{\{([\w.-]+)\}\}/g, (_whole, key: string) => {
    const url = built.get(key);
    if (url === undefined) throw new Error(`${name}.html: there is no ${key}`);
    return url;
  });
  await writeFile(join(out, `${name}.html`), html);
}
