import type { Counted } from './snippets.ts';

/** Blocks that docs-snippets-programs.test.ts runs, by the name of its test. */
export const PROGRAMS = {
  'a BFF and a worker call the service': [{ page: 'clients.md', language: 'ts', blocks: 2 }],
  'a cluster of databases and stores starts': [
    { page: 'clusters.md', language: 'yaml' },
    { page: 'clusters.md', language: 'toml' },
    { page: 'clusters.md', language: '', has: 'listen postgres' },
    { page: 'clusters.md', language: '', has: 'weed master' },
  ],
  'a manifest names the files of a dataset': [{ page: 'datasets.md', language: 'json' }],
  'a program watches files': [{ page: 'events.md', language: 'ts' }],
  'a chart makes an installation': [{ page: 'kubernetes.md', language: 'yaml' }],
  'a back end answers at old URLs': [{ page: 'migration.md', language: 'ts' }],
  'certificates name services': [{ page: 'security.md', language: 'json' }],
  'images have variants': [{ page: 'variants.md', language: 'json' }],
} as const satisfies Readonly<Record<string, readonly Counted[]>>;
