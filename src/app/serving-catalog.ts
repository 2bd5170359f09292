import { randomBytes, randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { FileCatalog } from '../catalog/file-catalog.ts';
import type { Config } from '../config/config.ts';
import { Follower } from '../move/catalog/follower.ts';
import { CatalogMember } from '../move/catalog/member.ts';
import { servingCatalog } from '../move/catalog/serving.ts';
import { notMovable } from './catalog-move.ts';
import { openCatalog } from './drivers.ts';

type OpenOptions = NonNullable<Parameters<typeof openCatalog>[1]>;

/** How this process takes part in a move. */
interface ServingOptions {
  /** True for a replica, which follows what the active catalog logs; false for a command. */
  readonly follows: boolean;
  /** See `openCatalog`. */
  readonly watchPool?: OpenOptions['watchPool'];
}

/**
 * Opens the catalog that serves: that of the settings, or in a move the one that is active at the time of each call. The
 * process is seen by a move until the catalog is closed.
 */
export async function openServingCatalog(
  config: Config,
  log: Logger,
  { follows, watchPool }: ServingOptions,
): Promise<FileCatalog> {
  const own = await openCatalog(config, follows ? { watchPool } : { mustExist: true });
  const next = config.next && (await openCatalog(config.next, follows ? { watchPool } : { readOnly: true }));
  const member = new CatalogMember({ own, next }, newId(), (text) => log.info(text));
  const catalog = servingCatalog(member, (text) => log.warn(text));
  member.start();
  if (!follows || next === undefined) return catalog;
  const follower = new Follower(
    member,
    { holder: randomUUID(), whyNot: (flow) => notMovable(config, flow) },
    (text) => log.warn(text),
  );
  return closedAfter(catalog, () => follower.close());
}

/** Opens the catalog that serves, runs `work`, and closes it. */
export async function withServingCatalog<T>(
  config: Config,
  log: Logger,
  work: (catalog: FileCatalog) => Promise<T>,
): Promise<T> {
  const catalog = await openServingCatalog(config, log, { follows: false });
  try {
    return await work(catalog);
  } finally {
    await catalog.close();
  }
}

function closedAfter(catalog: FileCatalog, first: () => Promise<void>): FileCatalog {
  const close = () => first().then(() => catalog.close());
  return new Proxy(catalog, {
    get: (target, key) => (key === 'close' ? close : (Reflect.get(target, key) as unknown)),
  });
}

/** 15 of `[a-z0-9]`. */
function newId(): string {
  return randomBytes(8).toString('hex').slice(0, 15);
}
