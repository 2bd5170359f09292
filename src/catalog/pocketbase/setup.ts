import { readFieldMap } from './field-map.ts';
import { DEFAULT_COLLECTION } from './names.ts';
import type { PocketBaseSetup } from './schema.ts';

/** Options of a catalog in a PocketBase. */
export interface PocketBaseOptions {
  /** Address of PocketBase 0.40 or later. */
  readonly url: string;
  /** Login of a superuser. */
  readonly email: string;
  readonly password: string;
  /** The collection of files; default `files`. It must exist, unless it is the default. */
  readonly collection?: string;
  /** Field names of the collection that differ from the defaults: `{ name: 'title' }`. */
  readonly fields?: Readonly<Record<string, string>>;
  /** Fields with legacy links: never read as attributes and never written. File fields are always treated so. */
  readonly hiddenFields?: readonly string[];
  /** More such fields, each with the setting that names it; an empty string for one that need not exist. */
  readonly legacyFields?: Readonly<Record<string, string>>;
  /** Values for fields of new records that the caller does not set. */
  readonly defaults?: PocketBaseSetup['defaults'];
  /** True if a migration adds the fields and indexes for records of another catalog; default false. */
  readonly takesImports?: boolean;
  /** Whether a migration adds the view and index that sum up the files of an owner; default no. */
  readonly hasQuotas?: () => boolean;
}

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
    hasQuotas: options.hasQuotas ?? (() => false),
  };
}
