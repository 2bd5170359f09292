import { describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ROOT } from '../support/install.ts';

/** True to build the site as well: the first time its packages are installed. */
const FULL = process.env['ASSET_TEST_DOCS'] === 'full' || process.env['CI'] === 'true';

/** Pages that are written by hand. */
const PAGES = globSync(
  [
    '*.md',
    'docs/*.md',
    'clients/*/README.md',
    'examples/*/README.md',
    'gen/*/README.md',
    '.changeset/README.md',
  ],
  { cwd: ROOT },
).filter((page) => page !== 'docs/api.md');

const withoutCode = (text: string) =>
  text.replaceAll(/^(`{3,}).*?^\1/gms, '').replaceAll(/`[^`\n]*`/g, 'code');

/** The names that GitHub and the site give the headings of a page. */
function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading] of text.replaceAll(/^(`{3,}).*?^\1/gms, '').matchAll(/^#+ (.*)$/gm)) {
    const plain = heading!.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const name = plain
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replaceAll(/\s/g, '-');
    let unique = name;
    for (let copy = 1; anchors.has(unique); copy += 1) unique = `${name}-${copy}`;
    anchors.add(unique);
  }
  return anchors;
}

describe('the links of the docs', () => {
  it.each(PAGES)('lead to files and headings that exist: %s', (page) => {
    const text = readFileSync(join(ROOT, page), 'utf8');
    const broken = [...withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, link]) => link!)
      .filter((link) => !/^[a-z]+:/.test(link))
      .filter((link) => {
        const [path = '', heading] = link.split('#');
        const target = path === '' ? join(ROOT, page) : join(ROOT, dirname(page), path);
        if (!existsSync(target)) return true;
        if (heading === undefined || statSync(target).isDirectory() || !target.endsWith('.md')) return false;
        return !anchorsOf(readFileSync(target, 'utf8')).has(heading);
      });
    expect(broken).toEqual([]);
  });
});

describe('the site', () => {
  it('has pages for all that its menu names', () => {
    const menu = readFileSync(join(ROOT, 'docs', '.vitepress', 'config.js'), 'utf8');
    const sections = [...menu.matchAll(/section\('[^']*', \{(.*?)\}\)/gs)].map(([, pages]) => pages!);
    const names = sections.flatMap((pages) =>
      [...pages.matchAll(/'?([\w-]+)'?: '/g)].map(([, name]) => name!),
    );
    expect(names).toContain('operations');
    // The page of the contract is made when the site is built.
    const missing = names.filter((name) => name !== 'api' && !existsSync(join(ROOT, 'docs', `${name}.md`)));
    expect(missing).toEqual([]);
  });

  if (FULL) {
    it('is built, with a page made from the contract', () => {
      const { status, stdout, stderr } = spawnSync('npm', ['run', '--silent', 'docs:site'], {
        cwd: ROOT,
        encoding: 'utf8',
      });
      if (status !== 0) throw new Error(stdout + stderr);
      const api = readFileSync(join(ROOT, 'dist', 'docs', 'api.html'), 'utf8');
      for (const text of ['DownloadFile', 'FILE_NOT_FOUND', 'persisted_size']) expect(api).toContain(text);
      // What is outside docs is in the repository.
      expect(readFileSync(join(ROOT, 'dist', 'docs', 'index.html'), 'utf8')).toContain(
        '/blob/main/README.md',
      );
    }, 300_000);
  } else {
    it.skip('is built: runs with ASSET_TEST_DOCS=full or CI=true', () => {});
  }
});
