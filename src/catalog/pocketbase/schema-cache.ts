import { unavailable } from '../call.ts';
import { readSchema, type Collection, type PocketBaseSetup, type Schema } from './schema.ts';

const MAX_AGE_MS = 60_000;

/** Names that nobody has would otherwise have the schema read with every call. */
const MIN_AGE_MS = 1_000;

/**
 * The collection's schema, read once a minute, and sooner when a name turns up that it does not have: people add
 * fields while the service runs.
 */
export class SchemaCache {
  readonly #read: (signal: AbortSignal) => Promise<Collection | undefined>;
  readonly #setup: PocketBaseSetup;
  #schema: Schema | undefined;
  #readAt = 0;
  #reading: Promise<Schema> | undefined;

  constructor(read: (signal: AbortSignal) => Promise<Collection | undefined>, setup: PocketBaseSetup) {
    this.#read = read;
    this.#setup = setup;
  }

  /** The schema; read again if it lacks one of `names`. */
  async get(names: readonly string[], signal: AbortSignal): Promise<Schema> {
    const age = Date.now() - this.#readAt;
    const schema = this.#schema;
    if (schema && age < MAX_AGE_MS) {
      if (age < MIN_AGE_MS || names.every((name) => schema.names.has(name))) return schema;
    }
    signal.throwIfAborted();
    this.#reading ??= this.#refresh().finally(() => (this.#reading = undefined));
    return this.#reading;
  }

  /** Has the schema read again. */
  clear(): void {
    this.#schema = undefined;
  }

  async #refresh(): Promise<Schema> {
    // Many calls wait for this one; it must not end because one of them gives up.
    const collection = await this.#read(AbortSignal.timeout(8_000));
    if (!collection) throw unavailable(new Error('there is no collection of files'));
    this.#schema = readSchema(collection, this.#setup);
    this.#readAt = Date.now();
    return this.#schema;
  }
}
