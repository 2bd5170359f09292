import type { AssetError } from '../../errors/asset-error.ts';
import { catalogUnavailable, setupRefused } from '../../errors/dependencies.ts';
import { SetupFault } from '../../errors/setup-fault.ts';
import { bounded } from '../bounded.ts';
import type {
  CatalogAccess,
  FieldDefinition,
  LinkView,
  RequestLog,
  TriedAccess,
  WriteRules,
} from '../catalog-access.ts';
import type { CatalogCall, JsonValue } from '../file-catalog.ts';
import { PocketBaseClient, Refusal } from './client.ts';
import type { Collection, CollectionField } from './collection.ts';
import { failureOf } from './failures.ts';
import { linkQuery } from './link-view.ts';
import { findCollection, listCollections } from './migrate.ts';
import { DEFAULT_COLLECTION } from './names.ts';
import { isUserToken, tryFiles, trySuperuser, tryWrites } from './probes.ts';
import { readRequestLog } from './request-log.ts';

const TIMEOUT_MS = 60_000;

/** Records per batch when a field is written back. */
const BATCH = 50;

/** Opens the access of others to a PocketBase. It connects with the first call. */
export function openPocketBaseAccess(options: {
  readonly url: string;
  readonly email: string;
  readonly password: string;
  readonly collection?: string;
}): CatalogAccess {
  return new PocketBaseAccess(options.url, new PocketBaseClient(options), options.collection);
}

class PocketBaseAccess implements CatalogAccess {
  readonly collection: string;
  readonly #url: string;
  readonly #client: PocketBaseClient;

  constructor(url: string, client: PocketBaseClient, collection = DEFAULT_COLLECTION) {
    [this.#url, this.#client, this.collection] = [url, client, collection];
  }

  readRules(call?: CatalogCall): Promise<WriteRules> {
    return this.#run(call, async (signal) => {
      const { createRule = null, updateRule = null, deleteRule = null, fields } = await this.#files(signal);
      const files = fields.filter(({ type }) => type === 'file');
      const protectedFields = Object.fromEntries(
        files.map(({ id = '', ...field }) => [id, field['protected'] === true]),
      );
      return { createRule, updateRule, deleteRule, protectedFields };
    });
  }

  writeRules({ protectedFields, ...rules }: WriteRules, call?: CatalogCall): Promise<void> {
    return this.#run(call, async (signal) => {
      const { id, name, type, fields } = await this.#files(signal);
      const changed = fields.map((field) => {
        const wanted = protectedFields[field.id ?? ''];
        return wanted === undefined ? field : { ...field, protected: wanted };
      });
      await this.#import({ id, name, type, ...rules, fields: changed }, signal);
    });
  }

  publicFiles(call?: CatalogCall): Promise<readonly string[]> {
    return this.#run(call, async (signal) => {
      const open = (await this.#withFiles(signal)).filter(({ viewRule }) => viewRule === '');
      return open.map(({ name }) => {
        const text = `The viewRule of the collection "${name}" is open to everybody, and PocketBase serves protected files to whom that rule lets in.`;
        return `${text} Set the rule to signed-in users, for example @request.auth.id != "".`;
      });
    });
  }

  tryWrites(token: string | undefined, call?: CatalogCall): Promise<readonly TriedAccess[]> {
    return this.#run(call, (signal) => tryWrites(this.#url, this.collection, token, signal));
  }

  tryFiles(call?: CatalogCall): Promise<readonly TriedAccess[]> {
    return this.#run(call, async (signal) => {
      return tryFiles(this.#url, this.#client, await this.#withFiles(signal), signal);
    });
  }

  tryService(call?: CatalogCall): Promise<TriedAccess> {
    return this.#run(call, (signal) => trySuperuser(this.#client, this.collection, signal));
  }

  isUserToken(token: string, call?: CatalogCall): Promise<boolean> {
    return this.#run(call, (signal) => isUserToken(this.#url, token, signal));
  }

  requests(collections: readonly string[], since: Date, call?: CatalogCall): Promise<RequestLog> {
    return this.#run(call, async (signal) => {
      const all = await listCollections(this.#client, signal);
      const wanted = all.filter(({ name }) => collections.includes(name));
      return readRequestLog(this.#client, wanted, since, signal);
    });
  }

  findView(name: string, call?: CatalogCall) {
    return this.#run(call, async (signal) => {
      const found = await findCollection(this.#client, name, signal);
      if (found === undefined) return undefined;
      const { created } = found as Collection & { readonly created?: string };
      return { isView: found.type === 'view', createTime: created ?? '' };
    });
  }

  putView(view: LinkView, call?: CatalogCall): Promise<void> {
    return this.#run(call, async (signal) => {
      const files = await this.#files(signal);
      const found = await findCollection(this.#client, view.name, signal);
      const { listRule = null, viewRule = null } = files;
      const body = { name: view.name, type: 'view', listRule, viewRule, viewQuery: linkQuery(files, view) };
      const path = `/api/collections${found ? `/${found.id}` : ''}`;
      await this.#change(path, { method: found ? 'PATCH' : 'POST', body, signal });
    });
  }

  removeView(name: string, call?: CatalogCall): Promise<void> {
    return this.#run(call, async (signal) => {
      const found = await findCollection(this.#client, name, signal);
      if (found) await this.#change(`/api/collections/${found.id}`, { method: 'DELETE', signal });
    });
  }

  viewsThatName(words: readonly string[], except: string, call?: CatalogCall): Promise<readonly string[]> {
    return this.#run(call, async (signal) => {
      const views = await this.#views(signal);
      return views.filter((view) => view.name !== except && namesAll(view, words)).map(({ name }) => name);
    });
  }

  findField(name: string, call?: CatalogCall): Promise<FieldDefinition | undefined> {
    return this.#run(call, async (signal) => {
      const { fields } = await this.#files(signal);
      const position = fields.findIndex((field) => field.name === name);
      return position < 0 ? undefined : { field: fields[position] as unknown as JsonValue, position };
    });
  }

  addField({ field, position }: FieldDefinition, call?: CatalogCall): Promise<void> {
    return this.#run(call, async (signal) => {
      const { id, name, type, fields } = await this.#files(signal);
      const all = fields.toSpliced(position, 0, field as unknown as CollectionField);
      await this.#import({ id, name, type, fields: all }, signal);
    });
  }

  removeField(name: string, call?: CatalogCall): Promise<void> {
    return this.#run(call, async (signal) => {
      const { id, fields } = await this.#files(signal);
      const body = { fields: fields.filter((field) => field.name !== name) };
      await this.#change(`/api/collections/${id}`, { method: 'PATCH', body, signal });
    });
  }

  async writeField(
    name: string,
    values: Readonly<Record<string, string>>,
    call?: CatalogCall,
  ): Promise<readonly string[]> {
    const refused: string[] = [];
    const all = Object.entries(values);
    const patch = ([id, value]: readonly [string, string]) =>
      ({ method: 'PATCH', collection: this.collection, id, body: { [name]: value }, onlyId: true }) as const;
    for (let at = 0; at < all.length; at += BATCH) {
      const some = all.slice(at, at + BATCH);
      await this.#run(call, async (signal) => {
        for (const one of some) {
          await this.#client.batch([patch(one)], signal).catch((error: unknown) => {
            if (!(error instanceof Refusal)) throw error;
            refused.push(one[0]);
          });
        }
      });
    }
    return refused;
  }

  close(): void {
    this.#client.close();
  }

  async #files(signal: AbortSignal): Promise<Collection> {
    const found = await findCollection(this.#client, this.collection, signal);
    if (found !== undefined) return found;
    const text = `PocketBase has no collection "${this.collection}"`;
    throw catalogUnavailable(new SetupFault('collection', text));
  }

  /** The collection, and every view that reads it or such a view, if they have file fields. */
  async #withFiles(signal: AbortSignal): Promise<readonly Collection[]> {
    const found = [await this.#files(signal)];
    const views = await this.#views(signal);
    for (let at = 0; at < found.length; at++) {
      found.push(...views.filter((view) => !found.includes(view) && namesAll(view, [found[at]!.name])));
    }
    return found.filter(({ fields }) => fields.some(({ type }) => type === 'file'));
  }

  async #views(signal: AbortSignal): Promise<readonly Collection[]> {
    return (await listCollections(this.#client, signal)).filter(({ type }) => type === 'view');
  }

  /** Changes parts of a collection. Fields that are left out stay, also those that were added meanwhile. */
  async #import(collection: object, signal: AbortSignal): Promise<void> {
    const body = { collections: [collection], deleteMissing: false };
    await this.#change('/api/collections/import', { method: 'PUT', body, signal });
  }

  async #change(path: string, options: { method: string; body?: object; signal: AbortSignal }) {
    try {
      await this.#client.send(path, options);
    } catch (error) {
      throw refusalOf(error);
    }
  }

  #run<T>(call: CatalogCall | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const ended = new AbortController();
    return bounded(() => work(ended.signal), call?.signal, TIMEOUT_MS).catch((error: unknown) => {
      ended.abort(error);
      throw error instanceof Refusal ? refusalOf(error) : error;
    });
  }
}

/** True if the query of a view has all these words. */
function namesAll(view: Collection, words: readonly string[]): boolean {
  const { viewQuery = '' } = view as Collection & { readonly viewQuery?: string };
  return words.every((word) => new RegExp(`\\b${word}\\b`, 'i').test(viewQuery));
}

/** What PocketBase said to a change of a collection, for the operator. Other failures stay as they are. */
function refusalOf(error: unknown): unknown {
  const cause: unknown = (error as AssetError).cause ?? error;
  const { status, message = '', data = {} } = failureOf(error instanceof Refusal ? error.cause : cause);
  if (status < 400 || status >= 500) return error;
  const fields = Object.entries(data).map(([name, { code = '' }]) => `${name}: ${code}`);
  const said = [`HTTP ${status}`, message.replaceAll(/\s+/g, ' ').trim(), ...fields]
    .filter(Boolean)
    .join(' ');
  return setupRefused(`PocketBase refuses to change its collections: ${said}`, undefined, error);
}
