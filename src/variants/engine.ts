import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** The packages that make variants. They are optional: a service without variants needs none of them. */
const PACKAGES = ['sharp', '@hyzyla/pdfium', 'thumbhash'] as const;

/** Names and versions of the packages that make variants. Throws, naming it, if one is not installed. */
export function engineVersions(): string {
  return PACKAGES.map((name) => `${name} ${versionOf(name)}`).join(', ');
}

function versionOf(name: string): string {
  let main: string;
  try {
    main = createRequire(import.meta.url).resolve(name);
  } catch (error) {
    throw new Error(
      `a usage policy has variants, but the package ${name} is not installed: install the optional dependencies (npm ci without --omit=optional), or remove the variants`,
      { cause: error },
    );
  }
  for (let dir = dirname(main); dirname(dir) !== dir; dir = dirname(dir)) {
    const path = join(dir, 'package.json');
    if (!existsSync(path)) continue;
    const { name: found, version } = JSON.parse(readFileSync(path, 'utf8')) as Record<string, string>;
    if (found === name && version !== undefined) return version;
  }
  return 'unknown';
}
