import type { CatalogAccess, FieldDefinition, LinkView, LoggedUse } from '../catalog/catalog-access.ts';
import type { LegacyRecords } from '../catalog/legacy-records.ts';
import { reached } from '../system/crash-points.ts';
import { exclusively, type StepHolder } from './exclusive.ts';
import { lockJournal, type LockableSystem } from './lock-journal.ts';
import { StepRefused, type RefusalReason } from './refused.ts';

/** Stored state of the view with rebuilt links. */
export type ViewState = {
  readonly by: string;
  /** Text before the key of a rebuilt link. */
  readonly prefix: string;
  /** The link field that was dropped, with the links that cannot be rebuilt; null while the field is there. */
  readonly dropped: {
    readonly definition: FieldDefinition;
    readonly links: Readonly<Record<string, string>>;
  } | null;
};

/** Status of the view. */
export interface ViewStatus {
  readonly name: string;
  readonly exists: boolean;
  /** False after the link field was dropped. */
  readonly hasLinkField: boolean;
  /** Reads of the view and of the collection in the catalog's log. */
  readonly readers: readonly LoggedUse[];
  readonly logKeptDays: number;
}

const STATE = 'legacy-views';
const PAGE = 500;
const DAY_MS = 86_400_000;

/** Maximum number of links that cannot be rebuilt: they are part of the query of the view. */
const MAX_LINKS = 500;

/** Creates or updates the view. It has the rules of the collection, so it shows nobody more. */
export function createView(
  system: LockableSystem,
  { by, prefix, ...holder }: StepHolder & { readonly by: string; readonly prefix: string },
  signal: AbortSignal,
): Promise<string> {
  return exclusively(system.catalog, STATE, holder, signal, async () => {
    const { access, name } = placeOf(system);
    const state = await stateOf(system.catalog.legacy);
    if (state === undefined && (await access.findView(name, { signal })) !== undefined)
      throw refusal('IN_USE', `PocketBase has a collection ${name} that the service did not make: rename it`);
    const next = { by, prefix, dropped: state?.dropped ?? null };
    await system.catalog.legacy.putState(STATE, next, { signal });
    await access.putView(viewOf(system, next), { signal });
    return name;
  });
}

/** Status of the view and its readers since a time. Changes nothing. */
export async function viewStatus(
  system: LockableSystem,
  since: Date,
  signal: AbortSignal,
): Promise<ViewStatus> {
  const { access, name } = placeOf(system);
  const { uses, keptDays } = await access.requests([name, access.collection], since, { signal });
  return {
    name,
    exists: (await access.findView(name, { signal })) !== undefined,
    hasLinkField: (await access.findField(system.bucket.linkField, { signal })) !== undefined,
    readers: uses.filter(({ kind }) => kind === 'read'),
    logKeptDays: keptDays,
  };
}

/**
 * Drops the link field of the collection. The view keeps the same links: those that cannot be rebuilt are stored first.
 * May be repeated after a crash.
 *
 * @throws StepRefused before anything was changed
 */
export function dropLink(
  system: LockableSystem,
  holder: StepHolder,
  signal: AbortSignal,
): Promise<{ readonly kept: number }> {
  return exclusively(system.catalog, STATE, holder, signal, async (held) => {
    const { access, name } = placeOf(system);
    const { legacy } = system.catalog;
    const { linkField } = system.bucket;
    const state = await stateOf(legacy);
    if (state === undefined || (await access.findView(name, { signal: held })) === undefined)
      throw refusal(
        'NO_VIEW',
        `there is no view ${name} for readers of links: run "asset-service legacy views create"`,
      );
    const definition = await access.findField(linkField, { signal: held });
    if (definition === undefined) return { kept: Object.keys(state.dropped?.links ?? {}).length };
    if ((await lockJournal(legacy, { signal: held }))?.phase !== 'locked')
      throw refusal(
        'NOT_LOCKED',
        'others may still write links: run "asset-service legacy lock --enforce" first',
      );
    const others = await access.viewsThatName([access.collection, linkField], name, { signal: held });
    if (others.length > 0) {
      const text = `these views read the field ${linkField} of ${access.collection}: ${others.join(', ')}. Let them read ${name} instead`;
      throw refusal('IN_USE', text);
    }
    const links = await linksOf(system, held);
    const next: ViewState = { ...state, dropped: { definition, links } };
    await legacy.putState(STATE, next, { signal: held });
    reached('views.link-journaled');
    await access.putView(viewOf(system, next), { signal: held });
    await access.removeField(linkField, { signal: held });
    reached('views.link-removed');
    return { kept: Object.keys(links).length };
  });
}

/** Adds the link field again with the stored links. Resolves with the ids of records whose change was refused. */
export function restoreLink(
  system: LockableSystem,
  holder: StepHolder,
  signal: AbortSignal,
): Promise<readonly string[]> {
  return exclusively(system.catalog, STATE, holder, signal, async (held) => {
    const { access, name } = placeOf(system);
    const { legacy } = system.catalog;
    const state = await stateOf(legacy);
    if (!state?.dropped) return [];
    const { definition, links } = state.dropped;
    const { linkField } = system.bucket;
    if ((await access.findField(linkField, { signal: held })) === undefined)
      await access.addField(definition, { signal: held });
    const refused = await access.writeField(linkField, links, { signal: held });
    // Links of refused records stay in the state and in the view.
    if (refused.length > 0) return refused;
    const next: ViewState = { ...state, dropped: null };
    if ((await access.findView(name, { signal: held })) !== undefined)
      await access.putView(viewOf(system, next), { signal: held });
    await legacy.putState(STATE, next, { signal: held });
    return [];
  });
}

/**
 * Removes the view if nobody has read it for a number of days.
 *
 * @throws StepRefused STILL_READ, IN_USE
 */
export function dropView(
  system: LockableSystem,
  { quietDays, ...holder }: StepHolder & { readonly quietDays: number },
  signal: AbortSignal,
): Promise<boolean> {
  return exclusively(system.catalog, STATE, holder, signal, async (held) => {
    const { access, name } = placeOf(system);
    const found = await access.findView(name, { signal: held });
    if (found === undefined) return false;
    const since = new Date(Date.now() - quietDays * DAY_MS);
    const { uses, keptDays } = await access.requests([name], since, { signal: held });
    const readers = uses.filter(({ kind }) => kind === 'read');
    const [last] = readers;
    if (last !== undefined) {
      const who = [last.auth || 'guest', last.address, last.userAgent].filter(Boolean).join(' ');
      const text = `${name} is still read: last by ${who} at ${last.lastTime}, and it must be quiet for ${quietDays} days (--quiet)`;
      throw refusal('STILL_READ', text);
    }
    if (keptDays < quietDays) {
      const text = `PocketBase keeps its log for ${keptDays} days only, so that nobody knows who read ${name} before: set logs.maxDays to ${Math.ceil(quietDays)} or more, or give a shorter --quiet`;
      throw refusal('STILL_READ', text);
    }
    if (new Date(found.createTime) > since) {
      throw refusal(
        'STILL_READ',
        `${name} was made at ${found.createTime}, less than ${quietDays} days ago (--quiet)`,
      );
    }
    const others = await access.viewsThatName([name], name, { signal: held });
    if (others.length > 0) throw refusal('IN_USE', `these views read ${name}: ${others.join(', ')}`);
    await access.removeView(name, { signal: held });
    return true;
  });
}

function placeOf({ access }: LockableSystem): { readonly access: CatalogAccess; readonly name: string } {
  if (access !== undefined) return { access, name: `${access.collection}_v1` };
  throw refusal('NO_CATALOG_ACCESS', 'ASSET_CATALOG: only a PocketBase has views that others read');
}

function viewOf({ bucket, access }: LockableSystem, { prefix, dropped }: ViewState): LinkView {
  return {
    ...{ name: `${access!.collection}_v1`, prefix, template: bucket.layouts[0]!.template },
    ...{ linkField: bucket.linkField, links: dropped?.links ?? {}, hasField: dropped === null },
  };
}

async function stateOf(legacy: LegacyRecords): Promise<ViewState | undefined> {
  return ((await legacy.getState(STATE)) ?? undefined) as ViewState | undefined;
}

/** Links in records: those of moved files are empty. */
async function linksOf({ catalog, bucket }: LockableSystem, signal: AbortSignal) {
  const links: Record<string, string> = {};
  for (let after = ''; ;) {
    const page = await catalog.legacy.scan(after, PAGE, { signal });
    for (const { file, fields } of page) {
      const [link] = fields[bucket.linkField] ?? [];
      if (link) links[file.id] = link;
    }
    if (Object.keys(links).length > MAX_LINKS) {
      const text = `more than ${MAX_LINKS} records have a link of their own: move their files, or empty the links`;
      throw refusal('TOO_MANY_LINKS', text);
    }
    if (page.length < PAGE) return links;
    after = page.at(-1)!.file.id;
  }
}

function refusal(reason: RefusalReason, text: string): StepRefused {
  return new StepRefused({ reason, text });
}
