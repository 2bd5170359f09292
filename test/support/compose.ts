import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { ROOT } from './install.ts';

/** The parts of `docker-compose.yml` that the tests check. */
export interface ComposeFile {
  readonly services: Readonly<Record<string, ComposeService>>;
  readonly configs: Readonly<Record<string, { readonly content?: string; readonly file?: string }>>;
}

/** One service of it. */
export interface ComposeService {
  readonly image?: string;
  readonly build?: unknown;
  readonly profiles?: readonly string[];
  readonly restart?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly command?: readonly string[];
  readonly entrypoint?: readonly string[];
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly depends_on?: Readonly<Record<string, { readonly condition: string; readonly required?: boolean }>>;
}

/** A variable that the file reads: `${NAME:?message}` or `${NAME:-default}`. */
const VARIABLE = /\$\{([A-Z0-9_]+):([?-])([^}]*)\}/g;

/** Text of `docker-compose.yml`. */
export function composeText(): string {
  return readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8');
}

/** The variables that `text` reads, without duplicates; `required` are those without a default. */
export function composeVariables(text: string): { readonly name: string; readonly required: boolean }[] {
  const found = [...text.matchAll(VARIABLE)].map(([, name = '', kind]) => [name, kind === '?'] as const);
  return [...new Map(found)].map(([name, required]) => ({ name, required }));
}

/** `text` with the values of its variables, like compose. */
export function fillIn(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(VARIABLE, (_, name: string, kind: string, otherwise: string) => {
    const value = values[name] || (kind === '-' ? otherwise : undefined);
    if (value === undefined) throw new Error(`${name} is missing: ${otherwise}`);
    return value;
  });
}

/** Parses the result of {@link fillIn}. */
export function parseCompose(text: string): ComposeFile {
  return parse(text) as ComposeFile;
}
