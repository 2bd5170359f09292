import type { FileCatalog, FileRecord } from '../catalog/file-catalog.ts';
import type { CatalogConfig, Config } from '../config/config.ts';
import { ExplainedError, explainFailure, isExplained } from '../config/explain.ts';
import { inNextNames } from '../config/options/next.ts';
import { SettingsError } from '../config/settings.ts';
import { decodeCursor, encodeCursor } from '../events/cursor.ts';
import { parseState } from '../events/subscription-state.ts';
import type { MovedSubscription } from '../move/catalog/complete.ts';
import type { MovedCatalogs } from '../move/catalog/progress.ts';
import { catalogId, isOver, readCatalogRow } from '../move/catalog/row.ts';
import type { GoneId } from '../move/catalog/without.ts';
import { MoveRefused } from '../move/refused.ts';
import { assertFits } from './catalog.ts';
import { openCatalog, withCatalog } from './drivers.ts';

/**
 * Opens both catalogs of a move, migrates them, runs `work`, and closes them.
 *
 * @throws SettingsError if the settings name no target, or a catalog does not fit them
 */
export async function withMove<T>(config: Config, work: (catalogs: MovedCatalogs) => Promise<T>): Promise<T> {
  const next = nextOf(config);
  let isReady = false;
  try {
    return await withCatalog(config, { mustExist: true }, async (source) => {
      await prepare(source, config);
      isReady = true;
      return withTarget(config, next, source, (target) => work({ source, target }));
    });
  } catch (error) {
    const isKnown = error instanceof SettingsError || isExplained(error);
    if (isReady || !isKnown || !(await isActive(() => openCatalog(next, { mustExist: true })))) throw error;
    throw new MoveRefused(
      `the source cannot be used: ${told(error, config)}. If it is gone for good, see \`asset-service catalog move complete --without-source\``,
      { cause: error },
    );
  }
}

/**
 * Opens those of both catalogs that can be reached.
 *
 * @param work - gets also why the other one cannot be reached
 * @throws why the catalog of ASSET_CATALOG cannot be reached, if there is no other one
 */
export async function withReachable<T>(
  config: Config,
  work: (
    catalogs: { readonly own: FileCatalog | undefined; readonly next: FileCatalog | undefined },
    failures: readonly string[],
  ) => Promise<T>,
): Promise<T> {
  const opened = await Promise.allSettled([
    checked(config, { mustExist: true }, (own) => readCatalogRow(own)),
    config.next && checked(config.next, { readOnly: true }, (next) => next.check()),
  ]);
  const [own, next] = opened.map((end) => (end.status === 'fulfilled' ? end.value : undefined));
  try {
    const [ofOwn, ofNext] = opened.map((end) =>
      end.status === 'rejected' ? (end.reason as Error) : undefined,
    );
    if (ofOwn && next === undefined) throw ofOwn;
    const failures = [
      ...(ofOwn ? [`the catalog of ASSET_CATALOG cannot be reached: ${told(ofOwn, config)}`] : []),
      ...(ofNext && config.next
        ? [
            `the catalog of ASSET_NEXT_CATALOG cannot be reached: ${inNextNames(told(ofNext, { ...config, ...config.next }))}`,
          ]
        : []),
    ];
    return await work({ own, next }, failures);
  } finally {
    await Promise.all([own?.close(), next?.close()]);
  }
}

/**
 * Opens the catalog that is left of a move, while the other one may be gone.
 *
 * @param work - gets also what reads the id of that one
 */
export async function withRemaining<T>(
  config: Config,
  gone: 'source' | 'target',
  work: (left: FileCatalog, goneId: GoneId) => Promise<T>,
): Promise<T> {
  const next = nextOf(config);
  const idIn = async (one: CatalogConfig): Promise<string | undefined> => {
    const signal = AbortSignal.timeout(ID_TIMEOUT_MS);
    return withCatalog(one, { mustExist: true }, (catalog) => catalogId(catalog, { signal }));
  };
  if (gone === 'source') {
    return explainedNext(config, next, (ready) =>
      withCatalog(next, { mustExist: true }, async (left) => {
        await left.check();
        ready();
        return work(left, () => idIn(config));
      }),
    );
  }
  return withCatalog(config, { mustExist: true }, async (left) => {
    await left.check();
    return work(left, () => idIn(next));
  });
}

/**
 * SQL of a view for programs that read the PocketBase of a move.
 *
 * @param schema - of the view
 */
export async function viewSql(config: Config, schema: string): Promise<string> {
  const { catalog, next } = config;
  const found = [catalog, next?.catalog].find((one) => one?.kind === 'pocketbase');
  if (found?.kind !== 'pocketbase') {
    throw new SettingsError(['ASSET_CATALOG: views are made from a PocketBase, and neither catalog is one']);
  }
  const target = [catalog, next?.catalog].find((one) => one?.kind === 'postgres');
  const { readPostgresUrl } = await import('../catalog/sql/postgres-url.ts');
  const tables = (target?.kind === 'postgres' ? readPostgresUrl(target.url).schema : undefined) ?? 'public';
  if (tables === schema)
    throw new MoveRefused(`--schema: ${schema} is that of the service's tables: name another one`);
  const { postgresView } = await import('../catalog/pocketbase/postgres-view.ts');
  return postgresView(found.pocketbase, { view: schema, tables });
}

/** The catalog of ASSET_NEXT_*. */
function nextOf({ next }: Config): CatalogConfig {
  if (next !== undefined) return next;
  throw new SettingsError(['ASSET_NEXT_CATALOG: is required: it names the catalog that the move goes to']);
}

/** Maximum time to read the id of a catalog that may be gone, in milliseconds. */
const ID_TIMEOUT_MS = 5_000;

/** Opens a catalog that answers. */
async function checked(
  config: CatalogConfig,
  options: Parameters<typeof openCatalog>[1],
  check: (catalog: FileCatalog) => Promise<unknown>,
): Promise<FileCatalog> {
  const catalog = await openCatalog(config, options);
  try {
    await check(catalog);
    return catalog;
  } catch (error) {
    await catalog.close();
    throw error;
  }
}

/** True if this catalog is the active one of a move that has not ended. */
async function isActive(open: () => Promise<FileCatalog>): Promise<boolean> {
  let catalog: FileCatalog | undefined;
  try {
    catalog = await open();
    const signal = AbortSignal.timeout(ID_TIMEOUT_MS);
    const [id, stored] = [await catalogId(catalog, { signal }), await readCatalogRow(catalog, { signal })];
    return stored !== undefined && !isOver(stored.row) && stored.row.active === id;
  } catch {
    return false;
  } finally {
    await catalog?.close();
  }
}

/** An error in words for the operator. */
function told(error: unknown, config: Config): string {
  return isExplained(error) ? explainFailure(error, config) : (error as Error).message;
}

/**
 * Why a record must not be moved, by record: its bytes are still in the old bucket, where fields that are not copied find
 * them. Those that are known to be damaged may go.
 */
export async function notMovable(
  { legacy }: Config,
  { source }: Pick<MovedCatalogs, 'source'>,
): Promise<(record: FileRecord) => string | undefined> {
  if (legacy === undefined) return () => undefined;
  const { acknowledgements } = await import('../legacy/backfill-state.ts');
  const known = await acknowledgements(source.legacy);
  return ({ id, sha256 }) =>
    sha256 === undefined && !(id in known)
      ? 'its bytes are still in the old bucket: run `asset-service legacy backfill` first'
      : undefined;
}

/** Reads and moves the stored state of a subscription. */
export function subscriptionIn(text: string): MovedSubscription {
  const state = parseState(text);
  const position = decodeCursor(state.cursor);
  const at = (log: string) => JSON.stringify({ ...state, cursor: encodeCursor({ ...position, log }) });
  return { name: state.name, log: position.log, at };
}

/** Opens the target. */
async function withTarget<T>(
  config: Config,
  next: CatalogConfig,
  source: FileCatalog,
  work: (target: FileCatalog) => Promise<T>,
): Promise<T> {
  try {
    return await explainedNext(config, next, (ready) =>
      withCatalog(next, {}, async (target) => {
        await prepare(target, { ...config, ...next });
        ready();
        return work(target);
      }),
    );
  } catch (error) {
    if (!(error instanceof ExplainedError)) throw error;
    const signal = AbortSignal.timeout(ID_TIMEOUT_MS);
    const row = (await readCatalogRow(source, { signal }))?.row;
    if (row === undefined || isOver(row) || row.active !== row.source.id) throw error;
    throw new MoveRefused(
      `${error.message}. If the target is gone for good, see \`asset-service catalog move cancel --without-target\``,
      { cause: error },
    );
  }
}

/** Failures before `ready` is called are explained by the settings with NEXT_. */
async function explainedNext<T>(
  config: Config,
  next: CatalogConfig,
  work: (ready: () => void) => Promise<T>,
): Promise<T> {
  let isReady = false;
  try {
    return await work(() => (isReady = true));
  } catch (error) {
    if (isReady) throw error;
    if (error instanceof SettingsError) throw new SettingsError(error.mistakes.map(inNextNames));
    if (!isExplained(error)) throw error;
    throw new ExplainedError(inNextNames(explainFailure(error, { ...config, ...next })), error);
  }
}

async function prepare(catalog: FileCatalog, config: Config): Promise<void> {
  await assertFits(catalog, config);
  if (config.settings.ASSET_MIGRATE) await catalog.migrate();
  await catalog.check();
}
