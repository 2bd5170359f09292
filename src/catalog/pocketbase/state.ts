import { createHash } from 'node:crypto';
import type { JsonValue } from '../catalog-call.ts';
import {
  legacyUseKey,
  type StateItem,
  type StateKind,
  type StatePage,
  type StateValues,
} from '../transfer.ts';
import { quote, type BatchRequest, type PocketBaseClient, type RawRecord } from './client.ts';
import { anyOf } from './filter.ts';
import { leftOut } from './failures.ts';
import * as own from './own-collections.ts';
import { expiry, timeOf } from './reservations.ts';
import { token } from './sessions.ts';

/** Items in one batch: a session takes up to five requests, and 33 are allowed (see `plan.ts`). */
const ITEMS_PER_BATCH = 6;

/** How the items of a collection are stored. */
interface Stored<Kind extends StateKind> {
  readonly collection: string;
  /** The field with the key; `id` unless the records of an item are replaced. */
  readonly key: 'id' | 'name';
  readonly read: (raw: RawRecord) => StateValues[Kind];
  readonly write: (value: StateValues[Kind]) => Readonly<Record<string, unknown>>;
}

const LEASES: Stored<'lease'> = {
  ...{ collection: own.LEASES, key: 'name' },
  read: (raw) => ({ holder: raw['holder'] as string, expireTime: timeOf(raw['expire_time']).getTime() }),
  write: ({ holder, expireTime }) => ({ holder, expire_time: new Date(expireTime).toISOString() }),
};

const SUBSCRIPTIONS: Stored<'subscription'> = {
  ...{ collection: own.SUBSCRIPTIONS, key: 'name' },
  read: (raw) => ({ owner: raw['owner'] as string, state: raw['state'] as string }),
  // As text within JSON, which PocketBase keeps exactly.
  write: ({ owner, state }) => ({ owner, state: JSON.stringify(state) }),
};

const UPLOADS: Stored<'upload'> = {
  ...{ collection: own.UPLOADS, key: 'id' },
  read: (raw) => ({
    revision: raw['revision'] as number,
    state: raw['state'] as JsonValue,
    expireTime: timeOf(raw['expire_time']).getTime(),
    requestKey: raw['request_key'] as string,
    caller: raw['caller'] as string,
    owner: raw['owner'] as string,
    usage: raw['usage'] as string,
    sizeBytes: raw['size_bytes'] as number,
    closed: raw['closed'] as boolean,
  }),
  write: ({ state, expireTime, requestKey, sizeBytes, ...others }) => ({
    ...others,
    ...{ state: JSON.stringify(state), expire_time: new Date(expireTime).toISOString() },
    ...{ request_key: requestKey, size_bytes: sizeBytes },
  }),
};

const LEGACY_USES: Stored<'legacy-use'> = {
  ...{ collection: own.LEGACY_USES, key: 'id' },
  read: (raw) => ({ count: raw['count'] as number }),
  write: ({ count }) => ({ count }),
};

const LEGACY_STATE: Stored<'legacy-state'> = {
  ...{ collection: own.LEGACY_STATE, key: 'id' },
  read: (raw) => ({ value: raw['value'] as JsonValue }),
  write: ({ value }) => ({ value: JSON.stringify(value) }),
};

function reservations(collection: string, closed: boolean): Stored<'reservation'> {
  return {
    ...{ collection, key: 'id' },
    read: (raw) => ({
      ...{ fileIds: raw['file_ids'] as string[], expireTime: timeOf(raw['expire_time']).getTime(), closed },
    }),
    write: ({ fileIds, expireTime }) => {
      const { expire_time, countdown } = expiry(new Date(expireTime));
      return { file_ids: fileIds, expire_time, ...(!closed && { countdown }) };
    },
  };
}

/** The collections of each kind; an item is in at most one of them. */
const STORED: { readonly [Kind in StateKind]: readonly Stored<Kind>[] } = {
  reservation: [reservations(own.OPEN_RESERVATIONS, false), reservations(own.CLOSED_RESERVATIONS, true)],
  upload: [UPLOADS],
  lease: [LEASES],
  subscription: [SUBSCRIPTIONS],
  'legacy-use': [LEGACY_USES],
  'legacy-state': [LEGACY_STATE],
};

/** The next items of a kind: one collection after the other. */
export async function exportState<Kind extends StateKind>(
  client: PocketBaseClient,
  kind: Kind,
  from: string | undefined,
  limit: number,
  signal: AbortSignal,
): Promise<StatePage<Kind>> {
  const [at, after] = from === undefined ? [0, ''] : (JSON.parse(from) as [number, string]);
  const all: readonly Stored<Kind>[] = STORED[kind];
  const { collection, key, read } = all[at]!;
  const query = { filter: `${key}>${quote(after)}`, sort: key, limit };
  const raws = await client.list(collection, query, signal);
  const last = raws.at(-1);
  const isDone = last === undefined || raws.length < limit;
  const next = !isDone ? [at, last[key]] : at + 1 < all.length ? [at + 1, ''] : undefined;
  const items = raws.map((raw) => ({ kind, key: keyOf(kind, raw), value: read(raw) }));
  return {
    items: items as unknown as readonly StateItem<Kind>[],
    next: next && JSON.stringify(next),
  };
}

/** Writes items; replaces existing ones. */
export async function importState(
  client: PocketBaseClient,
  items: readonly StateItem[],
  signal: AbortSignal,
): Promise<void> {
  for (const some of chunksOf(items)) {
    const removals = await removalsOf(client, some, signal);
    const freed = await freedKeys(client, some, signal);
    const requests = some.flatMap((item) => [...(removals.get(nameOf(item)) ?? []), ...creationOf(item)]);
    await send(client, [...freed, ...requests], signal);
  }
}

/** Removes items. */
export async function dropState(
  client: PocketBaseClient,
  kind: StateKind,
  keys: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  for (const some of chunksOf(keys.map((key) => ({ kind, key })))) {
    await send(client, [...(await removalsOf(client, some, signal)).values()].flat(), signal);
  }
}

function chunksOf<T>(items: readonly T[]): readonly (readonly T[])[] {
  const count = Math.ceil(items.length / ITEMS_PER_BATCH);
  return Array.from({ length: count }, (_, i) => items.slice(i * ITEMS_PER_BATCH, (i + 1) * ITEMS_PER_BATCH));
}

/** The requests that remove the records of items, by {@link nameOf}. */
async function removalsOf(
  client: PocketBaseClient,
  items: readonly Pick<StateItem, 'kind' | 'key'>[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, readonly BatchRequest[]>> {
  const found = new Map<string, readonly BatchRequest[]>();
  const kinds = new Set(items.map(({ kind }) => kind));
  for (const kind of kinds) {
    const wanted = items.filter((item) => item.kind === kind).map(({ key }) => recordKey(kind, key));
    for (const { collection, key: field } of STORED[kind] as readonly Stored<StateKind>[]) {
      for (const filter of anyOf(wanted.map((key) => `${field}=${quote(key)}`))) {
        const fields = 'id,name,revision,closed,caller,kind,day';
        for (const raw of await client.list(collection, { filter, limit: 1_000, fields }, signal)) {
          const remove = { method: 'DELETE', collection, id: raw.id } as const;
          const stage = raw['closed'] === true ? 'closed' : (raw['revision'] as number);
          const requests = kind === 'upload' ? [token('DELETE', raw.id, stage), remove] : [remove];
          found.set(nameOf({ kind, key: keyOf(kind, raw) }), requests);
        }
      }
    }
  }
  return found;
}

/** Takes request keys from other sessions. */
async function freedKeys(
  client: PocketBaseClient,
  items: readonly StateItem[],
  signal: AbortSignal,
): Promise<readonly BatchRequest[]> {
  const ids = new Set(items.map(({ key }) => key));
  const keys = items.flatMap((one) =>
    one.kind === 'upload' && one.value.requestKey ? one.value.requestKey : [],
  );
  const filters = anyOf(keys.map((key) => `(request_key!=""&&request_key=${quote(key)})`));
  const pages = filters.map((filter) =>
    client.list(own.UPLOADS, { filter, limit: 1_000, fields: 'id' }, signal),
  );
  const others = (await Promise.all(pages)).flat().filter(({ id }) => !ids.has(id));
  return others.map(({ id }) => {
    return { method: 'PATCH', collection: own.UPLOADS, id, body: { request_key: '' }, onlyId: true };
  });
}

function creationOf(item: StateItem): readonly BatchRequest[] {
  const { kind, key, value } = item;
  const isClosed = kind === 'reservation' && value.closed;
  const { collection, key: field, write } = STORED[kind][isClosed ? 1 : 0] as Stored<StateKind>;
  const use = kind === 'legacy-use' ? (JSON.parse(key) as readonly [string, string, string]) : undefined;
  const body = {
    ...{ [field]: recordKey(kind, key), ...write(value) },
    ...(use && { caller: use[0], kind: use[1], day: use[2] }),
  };
  const create = { method: 'POST', collection, body, onlyId: true } as const;
  if (kind !== 'upload') return [create];
  return [create, token('POST', key, value.closed ? 'closed' : value.revision)];
}

/** Carries out all requests or none. */
async function send(
  client: PocketBaseClient,
  requests: readonly BatchRequest[],
  signal: AbortSignal,
): Promise<void> {
  if (requests.length === 0) return;
  const missing = (await client.batch(requests, signal)).indexOf(undefined);
  if (missing >= 0) throw leftOut(missing);
}

/** The key of a record: text of any length and characters is hashed. */
function recordKey(kind: StateKind, key: string): string {
  return kind === 'legacy-use' ? createHash('sha256').update(key).digest('base64url') : key;
}

function keyOf(kind: StateKind, raw: RawRecord): string {
  if (kind !== 'legacy-use') return raw[STORED[kind][0]!.key] as string;
  return legacyUseKey({
    caller: raw['caller'] as string,
    kind: raw['kind'] as string,
    day: raw['day'] as string,
  });
}

function nameOf({ kind, key }: Pick<StateItem, 'kind' | 'key'>): string {
  return `${kind} ${key}`;
}
