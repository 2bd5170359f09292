import type { FileCatalog } from '../../catalog/file-catalog.ts';
import type { CatalogMember } from './member.ts';
import { MovedChanges } from './moved-changes.ts';

/** Methods that change nothing. All others are writes, which a pause holds. */
const READS: Readonly<Record<string, readonly string[]>> = {
  catalog: [
    ...['get', 'findByRequestKey', 'list', 'totalsOf', 'listPurgeable'],
    ...['exportFiles', 'exportOnly', 'exportState'],
  ],
  uploads: ['get', 'find', 'claimsOf', 'countOf', 'listPast'],
  subscriptions: ['get', 'list'],
  legacy: ['fieldsOf', 'scan', 'listUses', 'getState'],
};

type Method = (...args: readonly unknown[]) => Promise<unknown>;
type PartName = 'uploads' | 'subscriptions' | 'legacy';

/** What a {@link servingCatalog} stands for; a class, so that observers see its methods. */
class Serving {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

/**
 * The catalog that is active in a move, at the time of each call. Writes are held during a pause; reads never are.
 *
 * `migrate`, `inspect` and `planMigration` are about the catalogs of the settings, both if there are two.
 */
export function servingCatalog(member: CatalogMember, tell: (text: string) => void): FileCatalog {
  const special: Readonly<Record<string, unknown>> = {
    ...whole(member, tell),
    changes: new MovedChanges(member),
    uploads: part(member, 'uploads', ({ uploads }) => uploads),
    subscriptions: part(member, 'subscriptions', ({ subscriptions }) => subscriptions),
    legacy: part(member, 'legacy', ({ legacy }) => legacy),
  } satisfies Partial<Record<keyof FileCatalog, unknown>> & Readonly<Record<PartName, unknown>>;
  const files = part(member, 'catalog', (catalog) => catalog);
  return new Proxy(new Serving('catalog'), {
    get: (_, key) => {
      if (key === 'kind') return member.active.kind;
      return typeof key === 'string' && key in special ? special[key] : (Reflect.get(files, key) as unknown);
    },
  }) as unknown as FileCatalog;
}

/** One of the parts of the active catalog. */
function part(member: CatalogMember, name: string, of: (catalog: FileCatalog) => object): object {
  const methods = new Map<PropertyKey, Method>();
  const methodOf = (key: PropertyKey): Method => {
    const call = (catalog: FileCatalog, args: readonly unknown[]) => {
      const target = of(catalog);
      return (Reflect.get(target, key) as Method).apply(target, args as unknown[]);
    };
    if (READS[name]!.includes(String(key))) return async (...args) => call(await member.reader(), args);
    return (...args) => member.write((catalog) => call(catalog, args), signalIn(args));
  };
  return new Proxy(new Serving(name), {
    get: (_, key) => {
      // No promise, and nothing that is no method of a catalog.
      if (typeof key !== 'string' || key === 'then' || !(key in of(member.active))) return undefined;
      if (!methods.has(key)) methods.set(key, methodOf(key));
      return methods.get(key);
    },
  });
}

/** What is about the catalogs of the settings. */
function whole(
  member: CatalogMember,
  tell: (text: string) => void,
): Pick<FileCatalog, 'migrate' | 'planMigration' | 'inspect' | 'check' | 'close'> {
  const { own, next } = member;
  /** The one that is not active may be down or gone: then only a move cannot go on. */
  const other = async <T>(work: (catalog: FileCatalog) => Promise<T>, otherwise: T): Promise<T> => {
    const passive = member.active === own ? next : own;
    if (passive === undefined) return otherwise;
    try {
      return await work(passive);
    } catch (error) {
      tell(`the other catalog of the move (${passive.kind}) cannot be used: ${(error as Error).message}`);
      return otherwise;
    }
  };
  return {
    migrate: async () => {
      const done = [...(await member.active.migrate()), ...(await other((one) => one.migrate(), []))];
      // Now there is a row to read.
      await member.look();
      return done;
    },
    planMigration: () => member.active.planMigration(),
    inspect: async (names, call) => {
      // Which one is active; unknown while the schema is missing.
      if (!member.hasLooked) await member.look().catch(() => undefined);
      const findings = await member.active.inspect(names, call);
      const further = await other((one) => one.inspect(names, call), []);
      const warnings = further.map(({ text }) => {
        return { level: 'warning', text: `the other catalog of the move: ${text}` } as const;
      });
      return [...findings, ...warnings];
    },
    check: async (call) => {
      if (!member.hasLooked) await member.look();
      member.assertServes();
      await member.active.check(call);
    },
    close: async () => {
      await member.close();
      await Promise.all([own.close(), next?.close()]);
    },
  };
}

/** The signal of a call, which is in its last argument. */
function signalIn(args: readonly unknown[]): AbortSignal | undefined {
  const last = args.at(-1);
  if (typeof last !== 'object' || last === null || !('signal' in last)) return undefined;
  return last.signal instanceof AbortSignal ? last.signal : undefined;
}
