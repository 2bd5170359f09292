import { codeOf, type Counted } from './snippets.ts';

/** Blocks that another test runs, as they stand on the page. */
export interface Elsewhere extends Counted {
  readonly test: string;
  /** A text of that test which shows that it runs them; the name of the page if omitted. */
  readonly by?: string;
}

/** Blocks that no test runs, and why none can. */
export interface NotRun extends Counted {
  readonly because: string;
}

/** Blocks that other tests run. */
export const ELSEWHERE: readonly Elsewhere[] = [
  {
    ...{ page: 'adding-a-driver.md', test: 'test/conformance/file-catalog.sqlite.test.ts' },
    by: codeOf({ page: 'adding-a-driver.md' }),
  },
  { page: 'bff.md', language: 'sh', blocks: 2, test: 'test/integration/example-bff/docs.test.ts' },
  { page: 'browser.md', language: 'ts', test: 'test/e2e/browser.test.ts' },
  { page: 'browser.md', language: 'json', test: 'test/e2e/browser.test.ts' },
  ...['clients.md', 'datasets.md', 'machine-learning.md'].map((page) => ({
    ...{ page, language: 'python', blocks: page === 'machine-learning.md' ? 2 : 1 },
    test: 'clients/python/tests/test_readme.py',
  })),
  { page: 'migration.md', language: 'sh', blocks: 17, test: 'test/integration/migration-runbook.test.ts' },
  ...['1. Name the target', '2. Copy', '3. Compare', '4. Switch', '5. Wait, then complete'].map(
    (heading) => ({
      ...{ page: 'moving.md', heading, language: 'sh', blocks: heading.startsWith('5.') ? 2 : 1 },
      test: 'test/move/moving-runbook.test.ts',
    }),
  ),
  {
    ...{ page: 'moving.md', has: 'complete --without-source' },
    ...{ test: 'test/move/catalog-move-command.test.ts', by: "'complete', '--without-source'" },
  },
  { page: 'other-languages.md', language: 'sh', blocks: 7, test: 'test/integration/other-languages.test.ts' },
  {
    ...{ page: 'publishing.md', language: 'sh', has: 'npm run release\n' },
    ...{ test: 'test/integration/publishing.test.ts', by: "'scripts', 'release', 'release.js'" },
  },
  {
    ...{ page: 'publishing.md', language: 'sh', has: 'npm run release -- --publish\n' },
    ...{ test: 'test/integration/publishing.test.ts', by: "'--publish'" },
  },
  {
    ...{ page: 'quick-start.md', has: 'npm ci' },
    ...{ test: 'test/integration/readme.test.ts', by: "'npm ci && npm run demo'" },
  },
  { page: 'usage-policies.md', blocks: 2, test: 'test/unit/policy/policy-file.test.ts' },
  { page: 'workers.md', language: 'ts', blocks: 2, test: 'test/integration/clients-packed.test.ts' },
];

/** Blocks that are not run. Those in a language that is known here are parsed all the same. */
export const NOT_RUN: readonly NotRun[] = [
  ...['architecture.md', 'bff.md', 'browser.md'].map((page) => ({
    ...{ page, language: 'mermaid', because: 'a drawing, which the site shows' },
  })),
  ...[
    { page: 'browser.md', has: 'npm install @asset-service/browser' },
    { page: 'machine-learning.md', has: "pip install 'asset-service[fsspec]'" },
    { page: 'workers.md', has: 'npm install @asset-service/worker' },
  ].map((which) => ({
    ...which,
    because: 'needs the public registry; publishing.test.ts installs from a registry of its own',
  })),
  {
    page: 'other-languages.md',
    language: 'xml',
    because: 'needs .NET, and the page says that no test covers it',
  },
  {
    page: 'other-languages.md',
    language: 'csharp',
    because: 'needs .NET, and the page says that no test covers it',
  },
  { page: 'publishing.md', has: 'npx changeset', because: 'asks questions at a terminal' },
  { page: 'publishing.md', language: 'yaml', because: 'a job of GitHub Actions, which runs there alone' },
  {
    ...{ page: 'security.md', has: '/protocol/openid-connect/token' },
    because: 'needs the containers of deploy/compose; keycloak.test.ts asks that realm for tokens',
  },
];
