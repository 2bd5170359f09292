import { expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');
const text = (folder: string) => readFileSync(join(ROOT, folder, 'LICENSE'), 'utf8');

// npm puts the LICENSE of a package's own folder into its tarball, and follows no link.
it.each(['gen/ts', 'clients/core', 'clients/worker', 'clients/bff', 'clients/browser'])(
  '%s is published with the licence',
  (folder) => {
    expect(text(folder)).toBe(text('.'));
  },
);
