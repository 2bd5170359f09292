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

/** Rules of a collection. null: superusers only; empty: everybody. */
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
  /** Only of a view. */
  readonly viewQuery?: string;
}

/** How the settings describe the files in a PocketBase. */
export interface PocketBaseSetup {
  readonly collection: string;
  readonly map: FieldMap;
  /** Fields with legacy links. */
  readonly hiddenFields: readonly string[];
  /** Legacy fields in settings of the old system, with the setting; an empty string for one that need not exist. */
  readonly legacyFields: Readonly<Record<string, string>>;
  /** Values of new records by field name. */
  readonly defaults: Readonly<Record<string, JsonValue>>;
  /** True if a migration adds the fields of `imported.ts`. */
  readonly takesImports: boolean;
  /** True if a migration adds the view and index of `totals-view.ts`. */
  readonly hasQuotas: () => boolean;
}
