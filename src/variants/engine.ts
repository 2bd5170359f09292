import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** The packages that make variants. They are optional: a service without variants needs none of them. */
const PACKAGES = ['sharp', '@hyzyla/pdfium', 'thumbhash'] as const;

/** Argument of the process that makes variants: load every library before it says that it is ready. */
export const CHECK = '--check';

/** Names and versions of the packages that make variants. Throws, naming it, if one is not installed. */
export function engineVersions(): string {
  return PACKAGES.map((name) => `${name} ${versionOf(name)}`).join(', ');
}

/**
 * Why the process that makes variants does not start, for the operator: the package that cannot be used, why, and what to
 * do.
 *
 * @param output - what the process wrote to its error output
 */
export function engineFault(output: string): string {
  // A stack names the packages that import each other; the last one of the list is at the bottom of every stack.
  const name = [...PACKAGES].reverse().find((one) => output.includes(one));
  const lines = output.split('\n').map((line) => line.trim());
  const why = lines.find((line) => /^(\w*Error\b|spawn )/.test(line)) ?? lines[0] ?? '';
  if (name === undefined) return `the process that makes variants does not start: ${why || 'no message'}`;
  const { platform, arch } = process;
  return `the package ${name} cannot be loaded (${why}): install it for ${platform}-${arch} with its native part (npm ci --include=optional, on this platform), or remove the variants`;
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
