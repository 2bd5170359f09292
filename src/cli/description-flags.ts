import { InvalidArgumentError } from 'commander';
import type { FileChanges, FileDescription } from '@asset-service/worker';

/** Flags that describe a file. */
export interface DescriptionFlags {
  readonly name?: string;
  readonly type?: string;
  readonly owner?: string;
  readonly usage?: string;
  readonly relation: readonly string[];
  readonly attribute: readonly string[];
}

type Attributes = NonNullable<FileDescription['attributes']>;

/** For a flag that may be given several times. */
export function collect(value: string, earlier: readonly string[]): string[] {
  return [...earlier, value];
}

/** The value of an option that may not be empty. Throws InvalidArgumentError. */
export function notEmpty(value: string): string {
  if (value === '') throw new InvalidArgumentError('must not be empty');
  return value;
}

/** The description in the flags. */
export function descriptionFrom(flags: DescriptionFlags): FileDescription {
  return {
    ...(flags.name !== undefined && { name: flags.name }),
    ...(flags.type !== undefined && { contentType: flags.type }),
    ...(flags.owner !== undefined && { owner: flags.owner }),
    ...(flags.usage !== undefined && { usage: flags.usage }),
    ...(flags.relation.length > 0 && { relations: relationsFrom(flags.relation) }),
    ...(flags.attribute.length > 0 && { attributes: attributesFrom(flags.attribute) }),
  };
}

/**
 * The change in the flags and in `--set name=value`. Names are those of the contract: `name`, `content_type`,
 * `owner`, `usage`, `relations.<name>` (ids separated by commas), `attributes.<name>`.
 */
export function changesFrom(flags: DescriptionFlags, set: readonly string[]): FileChanges {
  const changes: Record<string, unknown> = { ...descriptionFrom(flags) };
  for (const assignment of set) {
    const [path, value] = split(assignment);
    const [field = '', ...rest] = path.split('.');
    const name = rest.join('.');
    if (field === 'relations' && name !== '') {
      changes['relations'] = {
        ...(changes['relations'] as object),
        [name]: value === '' ? [] : value.split(','),
      };
    } else if (field === 'attributes' && name !== '') {
      changes['attributes'] = {
        ...(changes['attributes'] as object),
        [name]: value === '' ? null : jsonOrText(value),
      };
    } else if (['name', 'content_type', 'owner', 'usage'].includes(path)) {
      changes[path === 'content_type' ? 'contentType' : path] = value;
    } else {
      throw new InvalidArgumentError(
        `--set ${path}: no such field; use name, content_type, owner, usage, relations.<name> or attributes.<name>`,
      );
    }
  }
  return changes;
}

function relationsFrom(flags: readonly string[]): Record<string, string[]> {
  const relations: Record<string, string[]> = {};
  for (const flag of flags) {
    const [name, id] = split(flag);
    relations[name] = [...(relations[name] ?? []), id];
  }
  return relations;
}

function attributesFrom(flags: readonly string[]): Attributes {
  return Object.fromEntries(
    flags.map((flag) => {
      const [name, value] = split(flag);
      return [name, jsonOrText(value)];
    }),
  ) as Attributes;
}

function split(assignment: string): [string, string] {
  const at = assignment.indexOf('=');
  if (at <= 0) throw new InvalidArgumentError(`${assignment}: must be name=value`);
  return [assignment.slice(0, at), assignment.slice(at + 1)];
}

/** The value in JSON; a text if it is none, or a number that would become another one. */
function jsonOrText(value: string): unknown {
  try {
    const parsed: unknown = JSON.parse(value);
    const isAltered =
      typeof parsed === 'number' &&
      (!Number.isFinite(parsed) || (Number.isInteger(parsed) && !Number.isSafeInteger(parsed)));
    return isAltered ? value : parsed;
  } catch {
    return value;
  }
}
