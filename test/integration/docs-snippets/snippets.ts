import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ROOT } from '../../support/install.ts';

/** A block of code on a page of docs/. */
export interface Snippet {
  readonly page: string;
  /** Text of the last heading above it. */
  readonly heading: string;
  /** What the page calls it, such as `sh`; empty if nothing. */
  readonly language: string;
  /** Without the indentation of a list. */
  readonly code: string;
}

/** Which blocks are meant: all of a page, or those of a language, below a heading, or with a text. */
export interface Which {
  readonly page: string;
  readonly language?: string;
  readonly heading?: string;
  readonly has?: string;
}

/** Blocks that something is said of. A block that is added later is not among them before somebody counts it. */
export interface Counted extends Which {
  /** Number of blocks; 1 if omitted. */
  readonly blocks?: number;
}

/** The pages that are written by hand. */
export const PAGES = globSync('docs/*.md', { cwd: ROOT })
  .map((path) => basename(path))
  .filter((page) => page !== 'api.md')
  .sort();

/** The text of a page. */
export const textOf = (page: string) => readFileSync(join(ROOT, 'docs', page), 'utf8');

/** The blocks of a page, in order. */
export function snippetsOf(page: string): readonly Snippet[] {
  const found: Snippet[] = [];
  let heading = '';
  for (const [, title, indent = '', language = '', code] of textOf(page).matchAll(
    /^#+ (.*)$|^( *)```(\S*)\n([^]*?)^\2```$/gm,
  )) {
    if (title !== undefined) heading = title;
    else found.push({ page, heading, language, code: code!.replaceAll(new RegExp(`^${indent}`, 'gm'), '') });
  }
  return found;
}

/** True if a block is among those. */
export const isOne = (which: Which, { page, language, heading, code }: Snippet) =>
  which.page === page &&
  (which.language ?? language) === language &&
  (which.heading ?? heading) === heading &&
  code.includes(which.has ?? '');

/** The blocks that are meant. */
export const find = (which: Which) => snippetsOf(which.page).filter((snippet) => isOne(which, snippet));

/** The code of the one block that is meant. */
export function codeOf(which: Which): string {
  const [snippet, ...more] = find(which);
  if (snippet === undefined || more.length > 0)
    throw new Error(`${JSON.stringify(which)} is not one block: say which`);
  return snippet.code;
}
