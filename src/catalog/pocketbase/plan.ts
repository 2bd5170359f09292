import type { MigrationStep } from '../migration-step.ts';
import { MAX_FILE_REQUESTS } from './creations.ts';
import { FIELDS } from './field-map.ts';
import { isRequiredLink, setupError, unfillableFields, type Mistake } from './fillable.ts';
import { IMPORT_FIELDS } from './import-fields.ts';
import { HELPERS, TOTALS, type Helper } from './own-collections.ts';
import { collectionMistakes, collectionOf, fieldNameMistakes } from './names.ts';
import { renamedMistakes } from './renamed.ts';
import type { Collection, CollectionField, PocketBaseSetup } from './schema.ts';
import { totalsView } from './totals-view.ts';
import {
  describeField,
  indexName,
  missingIndexes,
  typeMistakes,
  wantedField,
  type NewField,
} from './wanted.ts';

/** The state of a PocketBase that a migration depends on. */
export interface PocketBaseState {
  /** Every collection. */
  readonly collections: readonly Collection[];
  /** The settings of the batch API. */
  readonly batch: { readonly enabled: boolean; readonly maxRequests: number };
}

/** The changes of a migration. */
export interface MigrationPlan {
  readonly steps: readonly MigrationStep[];
  /** The wanted collections, for an import. */
  readonly collections: readonly object[];
  /** The wanted settings of the batch API; undefined if unchanged. */
  readonly batch: object | undefined;
}

/**
 * What is missing in a PocketBase for the catalog. Removes nothing. Rules, views and fields stay unchanged, except
 * that a `required` legacy link becomes optional, because files of the service have no location.
 *
 * @throws AssetError CATALOG_REFUSED with all {@link setupMistakes mistakes} in the setup
 */
export function planMigration(state: PocketBaseState, setup: PocketBaseSetup): MigrationPlan {
  const mistakes = setupMistakes(state.collections, setup);
  if (mistakes.length > 0) throw setupError(mistakes);
  const parts = [
    planFiles(collectionOf(state.collections, setup.collection), setup),
    ...helpersOf(state.collections, setup).map((helper) =>
      planHelper(collectionOf(state.collections, helper.name), helper),
    ),
  ].filter(({ steps }) => steps.length > 0);
  const batch = planBatch(state.batch);
  return {
    steps: [...parts.flatMap(({ steps }) => steps), ...batch.steps],
    collections: parts.map(({ body }) => body),
    batch: batch.steps.length > 0 ? batch.body : undefined,
  };
}

/** All mistakes in the setup that prevent the service and a migration from working. */
export function setupMistakes(
  collections: readonly Collection[],
  setup: PocketBaseSetup,
): readonly Mistake[] {
  const files = collectionOf(collections, setup.collection);
  const found = collectionMistakes(collections, setup);
  const foreign = helpersOf(collections, setup).flatMap((helper) => {
    const collection = collectionOf(collections, helper.name);
    return !collection || isOurs(collection, helper) ? [] : [foreignHelper(helper.name)];
  });
  const renamed = renamedMistakes(collections, setup);
  if (!files || found.length > 0) return [...found, ...renamed, ...foreign];
  const migrated = { ...files, fields: relaxed(files, setup) };
  return [
    ...fieldNameMistakes(files, setup),
    ...renamed,
    ...typeMistakes(files, setup),
    ...unfillableFields(migrated, setup),
    ...foreign,
  ];
}

/** The service's collections that a migration creates or keeps up to date. */
function helpersOf(collections: readonly Collection[], setup: PocketBaseSetup): readonly Helper[] {
  const { collection, map, hasQuotas } = setup;
  const totals = totalsView(collectionOf(collections, collection)?.name ?? collection, map);
  const found = collectionOf(collections, TOTALS);
  const isWanted = hasQuotas() || (found !== undefined && isOurs(found, totals));
  return isWanted ? [...HELPERS, totals] : HELPERS;
}

interface Part {
  readonly steps: readonly MigrationStep[];
  readonly body: object;
}

function planFiles(found: Collection | undefined, setup: PocketBaseSetup): Part {
  const before: Omit<Collection, 'id'> = found ?? {
    ...{ name: setup.collection, type: 'base', fields: [], indexes: [] },
  };
  const { name, type } = before;
  const names = new Set(before.fields.map((field) => field.name));
  const wanted = FIELDS.map((ours): CollectionField => {
    return { ...wantedField(ours), name: setup.map[ours] };
  });
  const imports: readonly CollectionField[] = setup.takesImports ? IMPORT_FIELDS : [];
  const added = [...wanted, ...imports].filter((field) => !names.has(field.name));
  const indexes = missingIndexes({ ...before, fields: [...before.fields, ...added] }, setup);
  return {
    steps: [
      ...(found ? [] : [{ verb: 'create', what: `collection ${name}`, detail: SUPERUSERS } as const]),
      ...added.map((field) => addField(name, field)),
      ...before.fields
        .filter((field) => isRequiredLink(field, setup))
        .map((field) => {
          return {
            verb: 'make',
            what: `${name}.${field.name} optional: new files have no location`,
          } as const;
        }),
      ...indexes.map(addIndex),
    ],
    // Sends nothing else of the collection, so that concurrent changes of its rules are kept.
    body: {
      ...{ name, type },
      fields: [...relaxed(before, setup), ...added],
      indexes: [...before.indexes, ...indexes],
    },
  };
}

function relaxed({ fields }: Pick<Collection, 'fields'>, setup: PocketBaseSetup): readonly CollectionField[] {
  return fields.map((field) => (isRequiredLink(field, setup) ? { ...field, required: false } : field));
}

function planHelper(found: Collection | undefined, helper: Helper): Part {
  const { viewQuery } = helper;
  if (viewQuery !== undefined) {
    const { name } = helper;
    const verb = found ? 'change' : 'create';
    const step = { verb, what: `view ${name}`, detail: `${viewQuery}; ${SUPERUSERS}` } as const;
    return { steps: found?.viewQuery === viewQuery ? [] : [step], body: { name, type: 'view', viewQuery } };
  }
  const present = new Set(found?.indexes.map(indexName));
  const indexes = helper.indexes.filter((index) => !present.has(indexName(index)));
  const fields = helper.fields.filter(({ name }) => !found?.fields.some((one) => one.name === name));
  const { name } = helper;
  const fieldTexts = helper.fields.map((field) => `${field.name} (${describeField(field)})`);
  const detail = [fieldTexts.join(', '), ...helper.indexes, SUPERUSERS].join('; ');
  return {
    steps: found
      ? [...fields.map((field) => addField(name, field)), ...indexes.map(addIndex)]
      : [{ verb: 'create', what: `collection ${name}`, detail }],
    body: {
      ...{ name, type: 'base' },
      fields: [...(found?.fields ?? []), ...fields],
      indexes: [...(found?.indexes ?? []), ...indexes],
    },
  };
}

const SUPERUSERS = 'for superusers alone';

function addField(
  collection: string,
  { name, ...field }: NewField & { readonly name: string },
): MigrationStep {
  return { verb: 'add', what: `field ${collection}.${name}`, detail: describeField(field) };
}

function addIndex(index: string): MigrationStep {
  return { verb: 'add', what: `index ${indexName(index)}`, detail: index };
}

/** Number of requests in the catalog's longest batch. */
const MIN_BATCH = MAX_FILE_REQUESTS;

function planBatch(batch: PocketBaseState['batch']): Part {
  const maxRequests = Math.max(batch.maxRequests, MIN_BATCH);
  const limits = `at most ${maxRequests} requests, before ${batch.maxRequests}`;
  return {
    steps: [
      ...(batch.enabled
        ? []
        : [{ verb: 'enable', what: 'batch requests in the settings', detail: 'batch.enabled' } as const]),
      ...(batch.maxRequests < MIN_BATCH
        ? [{ verb: 'raise', what: 'the limit of batch requests in the settings', detail: limits } as const]
        : []),
    ],
    body: { ...batch, enabled: true, maxRequests },
  };
}

/** Recognises the service's collections by their ids, which are longer than PocketBase's, and its view by its fields. */
function isOurs({ type, fields }: Collection, helper: Helper): boolean {
  if (helper.viewQuery !== undefined) {
    const names = new Set(fields.map(({ name }) => name));
    return type === 'view' && helper.fields.every(({ name }) => names.has(name));
  }
  return type === 'base' && fields.some(({ name, max }) => name === 'id' && max === 128);
}

function foreignHelper(name: string): Mistake {
  const text = `The collection "${name}" is not the service's, which needs one of that name for itself. Rename it in PocketBase.`;
  return { field: name, text };
}
