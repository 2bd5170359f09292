import { globSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { defineConfig } from 'vitepress';

const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
const REPOSITORY = manifest.repository.url.replace(/^git\+/, '').replace(/\.git$/, '');

/** A section of the menu: its pages in reading order. */
const section = (text, pages) => ({
  text,
  items: Object.entries(pages).map(([link, title]) => ({ text: title, link: `/${link}` })),
});

/** A link of a page to a file outside docs, as an address in the repository; other links as they are. */
function outward(href, page) {
  if (/^(?:[a-z]+:|#|\/)/.test(href)) return href;
  const target = posix.normalize(posix.join('docs', posix.dirname(page), href));
  return target.startsWith('docs/') ? href : `${REPOSITORY}/blob/main/${target}`;
}

/** The menu. */
const SIDEBAR = [
  section('Start', {
    '': 'Where to read',
    'quick-start': 'Quick start',
    concepts: 'Concepts',
    api: 'The contract',
    'command-line': 'Command line',
    clients: 'Clients',
  }),
  section('Back ends and workers', {
    bff: 'The reference BFF',
    browser: 'Uploads from browsers',
    'usage-policies': 'Usage policies',
    variants: 'Variants of images',
    workers: 'Workers',
    events: 'Events',
  }),
  section('Data and other languages', {
    'machine-learning': 'Machine learning',
    datasets: 'Datasets',
    'other-languages': 'Other languages',
  }),
  section('Operators', {
    configuration: 'Settings',
    operations: 'Operations',
    kubernetes: 'Kubernetes',
    pocketbase: 'PocketBase',
    postgres: 'PostgreSQL',
    clusters: 'Clusters',
    capacity: 'Capacity',
    metrics: 'Metrics',
    backup: 'Backup and verification',
    upgrade: 'Upgrade and rollback',
    migration: 'Migration of a product',
    moving: 'Moving a catalog or a store',
    troubleshooting: 'Troubleshooting',
  }),
  section('Reviewers', { security: 'Security', reliability: 'Reliability', performance: 'Performance' }),
  section('Contributors', {
    architecture: 'Architecture',
    'adding-a-driver': 'Adding a driver',
    publishing: 'Publishing',
  }),
];

/** Pages that no section names. */
function others() {
  const named = new Set(SIDEBAR.flatMap(({ items }) => items.map(({ link }) => link)));
  const pages = globSync('*.md', { cwd: new URL('..', import.meta.url) }).map((file) =>
    file.slice(0, -'.md'.length),
  );
  return pages.filter((page) => page !== 'index' && !named.has(`/${page}`)).sort();
}

/** The site of the docs: `npm run docs:site`. A link to a page that does not exist fails the build. */
export default defineConfig({
  title: 'Asset Service',
  description: 'Files by id: one service in front of object storage and a file catalog',
  outDir: '../dist/docs',
  cacheDir: '../.cache/vitepress',
  cleanUrls: true,
  // Addresses of the reader's own machine.
  ignoreDeadLinks: 'localhostLinks',
  markdown: {
    config(md) {
      md.core.ruler.push('outward-links', (state) => {
        const { relativePath = '' } = state.env;
        for (const { children } of state.tokens) {
          for (const token of children ?? []) {
            const href = token.attrGet('href');
            if (token.type === 'link_open' && href !== null)
              token.attrSet('href', outward(href, relativePath));
          }
        }
      });
    },
  },
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    sidebar: [...SIDEBAR, section('More', Object.fromEntries(others().map((page) => [page, page])))],
  },
});
