import type { CatalogFinding } from '../file-catalog.ts';
import { OWN_NAMES } from './own-collections.ts';
import { collectionOf } from './names.ts';
import { RULES, type Collection, type CollectionField } from './schema.ts';

type Rule = (typeof RULES)[number];

/** What a caller permitted by each rule can do to the files without the service. */
const DOES: Readonly<Record<Rule, { readonly level: CatalogFinding['level']; readonly what: string }>> = {
  listRule: {
    level: 'warning',
    what: 'sees every field that is not hidden, whatever the usage policies say',
  },
  viewRule: {
    level: 'warning',
    what: 'sees every field that is not hidden, whatever the usage policies say',
  },
  createRule: {
    level: 'error',
    what: 'can make up records, with any owner, and so get files that are not theirs from the service',
  },
  updateRule: {
    level: 'error',
    what: 'can make themselves the owner of a file, or change its usage, and so get it from the service',
  },
  deleteRule: {
    level: 'error',
    what: 'can delete records past the service, and the bytes of those files stay in the store for good',
  },
};

/** The ways around the service that a PocketBase leaves open to users other than superusers. */
export function openWays(
  collections: readonly Collection[],
  files: Collection | undefined,
): readonly CatalogFinding[] {
  const helpers = [...OWN_NAMES].flatMap((name) => collectionOf(collections, name) ?? []);
  return [
    ...(files ? [...openRules(files), ...openFields(collections, files)] : []),
    ...helpers.flatMap((helper) =>
      RULES.flatMap((rule) => {
        if (isClosed(helper, rule)) return [];
        const text = `${nameOf(helper, rule)} The collection is the service's own. ${CLOSE}`;
        return [{ level: 'error', text } as const];
      }),
    ),
  ];
}

const CLOSE = 'Set the rule to "superusers only" (null) in PocketBase.';

function openRules(files: Collection): readonly CatalogFinding[] {
  return RULES.filter((rule) => !isClosed(files, rule)).map((rule) => {
    const { level, what } = DOES[rule];
    const toDo = level === 'error' ? CLOSE : 'Leave it open only where a product reads the records so.';
    return { level, text: `${nameOf(files, rule)} Whoever it lets in ${what}. ${toDo}` };
  });
}

function isClosed(collection: Collection, rule: Rule): boolean {
  return collection[rule] === null || collection[rule] === undefined;
}

function nameOf({ name, ...collection }: Collection, rule: Rule): string {
  const text = collection[rule];
  const whom = text === '' ? 'to everybody, signed in or not' : `to ${text}`;
  return `The ${rule} of the collection "${name}" is open ${whom}.`;
}

/** Fields through which others can reach records or bytes of files, whatever the rules say. */
function openFields(collections: readonly Collection[], files: Collection): readonly CatalogFinding[] {
  return files.fields.flatMap((field): readonly CatalogFinding[] => {
    const path = `${files.name}.${field.name}`;
    if (field.type === 'file' && field['protected'] !== true) {
      const text = `The file field ${path} is not protected: PocketBase serves what lies in it to everybody who knows its address. Mark it as protected as soon as no product reads it so.`;
      return [{ level: 'warning', text }];
    }
    return cascade(collections, field, path);
  });
}

function cascade(
  collections: readonly Collection[],
  field: CollectionField,
  path: string,
): readonly CatalogFinding[] {
  if (field.type !== 'relation' || field['cascadeDelete'] !== true) return [];
  const target = collectionOf(collections, String(field['collectionId']));
  const text =
    `The relation ${path} deletes in cascade: whoever deletes a record of "${target?.name ?? '?'}" deletes the ` +
    `records of its files past the service, and their bytes stay in the store for good. Turn "cascade delete" off in PocketBase.`;
  // Only a warning if just superusers may delete the target.
  return [{ level: target && !isClosed(target, 'deleteRule') ? 'error' : 'warning', text }];
}
