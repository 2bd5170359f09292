import { nextName } from './options/next.ts';
import { CATALOG_OPTIONS, type Settings } from './options/options.ts';
import type { Mistakes } from './settings.ts';

/**
 * The settings as they will be when a catalog move is complete: what ASSET_NEXT_* says, under the names without NEXT_.
 * Undefined if no move is set up.
 */
export function nextSettings(settings: Settings): Settings | undefined {
  const { ASSET_NEXT_CATALOG: catalog } = settings;
  if (catalog === undefined) return undefined;
  const names = Object.keys(CATALOG_OPTIONS) as readonly (keyof typeof CATALOG_OPTIONS)[];
  const given = names.map((name) => [name, settings[nextName(name) as keyof Settings]]);
  return { ...settings, ...Object.fromEntries(given), ASSET_CATALOG: catalog } as Settings;
}

/** Reports a target that is the catalog itself. */
export function checkNext(settings: Settings, next: Settings, mistakes: Mistakes): void {
  const places = {
    sqlite: ['ASSET_DATA_DIR'],
    postgres: ['ASSET_POSTGRES_URL'],
    pocketbase: ['ASSET_POCKETBASE_URL', 'ASSET_POCKETBASE_COLLECTION'],
  } as const;
  const names = places[next.ASSET_CATALOG];
  if (settings.ASSET_CATALOG !== next.ASSET_CATALOG || names.some((name) => settings[name] !== next[name]))
    return;
  mistakes.add(
    nextName(names[0]),
    `names the catalog of the service itself (${names[0]}): a move goes to another one`,
  );
}
