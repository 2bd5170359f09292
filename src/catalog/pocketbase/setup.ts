import { readFieldMap } from './field-map.ts';
import { DEFAULT_COLLECTION } from './names.ts';
import type { PocketBaseOptions } from './pocketbase-catalog.ts';
import type { PocketBaseSetup } from './schema.ts';

/**
 * The options of a catalog with its defaults.
 *
 * @throws TypeError for invalid names, and for two fields with one name
 */
export function setupOf(options: PocketBaseOptions): PocketBaseSetup {
  const { collection = DEFAULT_COLLECTION, fields = {}, hiddenFields: hidden = [], defaults = {} } = options;
  const { map, mistakes } = readFieldMap(fields, hidden);
  if (mistakes.length > 0) throw new TypeError(mistakes.join('; '));
  // A field that is mapped to a part of a file is shown as that part.
  const parts: readonly string[] = Object.values(map);
  const { legacyFields = {} } = options;
  const further = Object.keys(legacyFields).filter((name) => !parts.includes(name));
  const hiddenFields = [...new Set([...hidden, ...further])];
  return {
    collection,
    map,
    hiddenFields,
    legacyFields,
    defaults,
    takesImports: options.takesImports ?? false,
  };
}
