import type { JsonValue } from '../file-catalog.ts';
import type { FieldMap } from './field-map.ts';

/** A field of a collection, as PocketBase describes it. */
export interface CollectionField {
  readonly id?: string;
  readonly name: string;
  readonly type: string;
  readonly hidden?: boolean;
  readonly required?: boolean;
  readonly system?: boolean;
  readonly maxSelect?: number;
  readonly [option: string]: unknown;
}

/** Who may do each of these with the records of a collection; null: superusers alone, an empty text: everybody. */
export const RULES = ['listRule', 'viewRule', 'createRule', 'updateRule', 'deleteRule'] as const;

/** A collection, as PocketBase describes it. */
export interface Collection extends Readonly<Partial<Record<(typeof RULES)[number], string | null>>> {
  readonly id: string;
  readonly name: string;
  /** `base`, `auth` or `view`. */
  readonly type: string;
  readonly system?: boolean;
  readonly fields: readonly CollectionField[];
  readonly indexes: readonly string[];
}

/** How the settings say that files are kept in a PocketBase. */
export interface PocketBaseSetup {
  readonly collection: string;
  readonly map: FieldMap;
  /** Fields that hold legacy links. */
  readonly hiddenFields: readonly string[];
  /** Those of them that settings of the old system name, with the setting; an empty text for one that need not be there. */
  readonly legacyFields: Readonly<Record<string, string>>;
  /** What new records get in fields of these names. */
  readonly defaults: Readonly<Record<string, JsonValue>>;
}
