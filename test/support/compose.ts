import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { ROOT } from './install.ts';

/** What the tests look at in `docker-compose.yml`. */
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

/** Text of `docker-compose.yml`, as it is. */
export function composeText(): string {
  return readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8');
}

/** The variables that `text` reads, each once; `required` are those that have no default. */
export function composeVariables(text: string): { readonly name: string; readonly required: boolean }[] {
  const found = [...text.matchAll(VARIABLE)].map(([, name = '', kind]) => [name, kind === '?'] as const);
  return [...new Map(found)].map(([name, required]) => ({ name, required }));
}

/** `text` with the values of its variables put in, as compose does it. */
export function fillIn(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(VARIABLE, (_, name: string, kind: string, otherwise: string) => {
    const value = values[name] || (kind === '-' ? otherwise : undefined);
    if (value === undefined) throw new Error(`${name} is missing: ${otherwise}`);
    return value;
  });
}

/** Reads what {@link fillIn} made. */
export function parseCompose(text: string): ComposeFile {
  return parse(text) as ComposeFile;
}
