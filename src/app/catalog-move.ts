import type { FileCatalog, FileRecord } from '../catalog/file-catalog.ts';
import type { CatalogConfig, Config } from '../config/config.ts';
import { ExplainedError, explainFailure, isExplained } from '../config/explain.ts';
import { inNextNames } from '../config/options/next.ts';
import { SettingsError } from '../config/settings.ts';
import { decodeCursor, encodeCursor } from '../events/cursor.ts';
import { parseState } from '../events/subscription-state.ts';
import type { MovedSubscription } from '../move/catalog/complete.ts';
import type { MovedCatalogs } from '../move/catalog/progress.ts';
import { assertFits } from './catalog.ts';
import { withCatalog } from './drivers.ts';

/**
 * Opens both catalogs of a move, migrates them, runs `work`, and closes them.
 *
 * @throws SettingsError if the settings name no target, or a catalog does not fit them
 */
export async function withMove<T>(config: Config, work: (catalogs: MovedCatalogs) => Promise<T>): Promise<T> {
  const { next } = config;
  if (next === undefined) {
    throw new SettingsError(['ASSET_NEXT_CATALOG: is required: it names the catalog that the move goes to']);
  }
  return withCatalog(config, { mustExist: true }, async (source) => {
    await prepare(source, config);
    return withTarget(config, next, (target) => work({ source, target }));
  });
}

/**
 * Opens the catalog of the settings, and that of ASSET_NEXT_* if it is set and can be reached.
 *
 * @param work - gets the second one, or why it cannot be reached
 */
export function withBoth<T>(
  config: Config,
  work: (own: FileCatalog, next: FileCatalog | undefined, failure: string | undefined) => Promise<T>,
): Promise<T> {
  const { next } = config;
  return withCatalog(config, { mustExist: true }, async (own) => {
    if (next === undefined) return work(own, undefined, undefined);
    return withCatalog(next, { readOnly: true }, async (other) => {
      try {
        await other.check();
      } catch (error) {
        return work(own, undefined, inNextNames(explainFailure(error, { ...config, ...next })));
      }
      return work(own, other, undefined);
    });
  });
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

/** Failures before `work` are explained by the settings with NEXT_. */
async function withTarget<T>(
  config: Config,
  next: CatalogConfig,
  work: (target: FileCatalog) => Promise<T>,
): Promise<T> {
  let isReady = false;
  try {
    return await withCatalog(next, {}, async (target) => {
      await prepare(target, { ...config, ...next });
      isReady = true;
      return work(target);
    });
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
