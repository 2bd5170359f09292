import type { CatalogCall, JsonValue } from './catalog-call.ts';

/** Who may write the records of files past the service, and whether their file fields are served to guests. */
export interface WriteRules {
  /** The rules as the catalog has them; null lets nobody but superusers, an empty text everybody. */
  readonly createRule: string | null;
  readonly updateRule: string | null;
  readonly deleteRule: string | null;
  /** Whether each file field is protected, by the id of the field. */
  readonly protectedFields: Readonly<Record<string, boolean>>;
}

/** What came of a request that was tried. It is made so that it changes nothing, whatever the answer. */
export interface TriedAccess {
  /** Such as `create`, `batch-delete`, or the path of a file. */
  readonly name: string;
  /** `closed` only after the refusal that everybody but superusers gets; `unknown` after no answer. */
  readonly outcome: 'open' | 'closed' | 'unknown';
  /** For the operator, such as `HTTP 403`. */
  readonly text: string;
}

/** Requests past the service that the catalog logged: one entry for each kind of request and caller. */
export interface LoggedUse {
  /** `batch` may or may not have reached the collection. `file` reads bytes; with a token of a user if `hasToken`. */
  readonly kind: 'write' | 'read' | 'file' | 'batch';
  /** Name of the collection in the request; empty for a batch. */
  readonly collection: string;
  readonly method: string;
  /** Collection of the signed-in caller; empty for a guest. */
  readonly auth: string;
  readonly address: string;
  readonly userAgent: string;
  readonly hasToken: boolean;
  readonly count: number;
  readonly lastTime: string;
}

/** What the catalog's log of requests says. */
export interface RequestLog {
  readonly uses: readonly LoggedUse[];
  /** Time of the oldest request in the log, or since which it was read; null if it is empty. */
  readonly from: string | null;
  /** Days that the catalog keeps its log; 0 if it keeps none. */
  readonly keptDays: number;
}

/** A view with the rows of the collection in which the link is computed. */
export interface LinkView {
  readonly name: string;
  /** Text before the key of a computed link, such as the address of a handler; empty for the key alone. */
  readonly prefix: string;
  /** Template of the key, such as `{id}/{secure_name}`. */
  readonly template: string;
  readonly linkField: string;
  /** False once the link field of the collection does not count, because it is dropped. */
  readonly hasField: boolean;
  /** Links that cannot be computed, by id of the record. */
  readonly links: Readonly<Record<string, string>>;
}

/** A field of the collection, and its place among the others. */
export type FieldDefinition = { readonly field: JsonValue; readonly position: number };

/**
 * Access to a catalog past the service: what a lock-down closes. Only for catalogs that other programs reach by themselves.
 * Errors are those of `FileCatalog`; a refusal to change the collection is CATALOG_REFUSED with a message for the operator.
 */
export interface CatalogAccess {
  /** Name of the collection of files. */
  readonly collection: string;

  readRules(call?: CatalogCall): Promise<WriteRules>;

  /** Writes rules and protection; nothing else of the collection changes. */
  writeRules(rules: WriteRules, call?: CatalogCall): Promise<void>;

  /** Why protected files would still be served to guests, one line each. */
  publicFiles(call?: CatalogCall): Promise<readonly string[]>;

  /** Tries to write as a guest, or as the user of a token: each way, alone and in a batch. */
  tryWrites(token: string | undefined, call?: CatalogCall): Promise<readonly TriedAccess[]>;

  /** Tries to read files of file fields without a token, through the collection and every view of it. */
  tryFiles(call?: CatalogCall): Promise<readonly TriedAccess[]>;

  /** Tries whether the service itself may still write. */
  tryService(call?: CatalogCall): Promise<TriedAccess>;

  /** True if the catalog accepts the token of a user. */
  isUserToken(token: string, call?: CatalogCall): Promise<boolean>;

  /** Requests of others to collections, by name, since a time. */
  requests(collections: readonly string[], since: Date, call?: CatalogCall): Promise<RequestLog>;

  /** Definition and creation time of a view; undefined if there is no collection of this name. */
  findView(
    name: string,
    call?: CatalogCall,
  ): Promise<{ readonly isView: boolean; readonly createTime: string } | undefined>;

  /** Creates or changes the view; it has the list and view rules of the collection. */
  putView(view: LinkView, call?: CatalogCall): Promise<void>;

  /** Removes a view. Resolves also if there is none. */
  removeView(name: string, call?: CatalogCall): Promise<void>;

  /** Names of the views, other than `except`, whose query names all of these words. */
  viewsThatName(words: readonly string[], except: string, call?: CatalogCall): Promise<readonly string[]>;

  /** Definition of a field of the collection; undefined if there is none. */
  findField(name: string, call?: CatalogCall): Promise<FieldDefinition | undefined>;

  /** Adds a field with the definition that {@link findField} returned. */
  addField(field: FieldDefinition, call?: CatalogCall): Promise<void>;

  /** Removes a field of the collection with its values. */
  removeField(name: string, call?: CatalogCall): Promise<void>;

  /** Writes one text field of records, by id; returns the ids that the catalog refused. */
  writeField(
    name: string,
    values: Readonly<Record<string, string>>,
    call?: CatalogCall,
  ): Promise<readonly string[]>;

  /** Closes connections. */
  close(): void;
}
