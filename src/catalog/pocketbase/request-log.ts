import type { LoggedUse, RequestLog } from '../catalog-access.ts';
import type { PocketBaseClient } from './client.ts';
import type { Collection } from './collection.ts';
import { PROBE_AGENT } from './probes.ts';

const PAGE = 1_000;

/** Rows that are read, the newest first. */
const MAX_ROWS = 200_000;

/** Different kinds of request that are kept apart; the rest is left out. */
const MAX_USES = 500;

interface LogRow {
  readonly created: string;
  readonly data: Readonly<Record<'auth' | 'method' | 'url' | 'userIP' | 'userAgent', string | null>> & {
    readonly status: number;
  };
}

/** Counts the requests of PocketBase's log that reached the collections, or a batch. Requests that it refused do not count. */
export async function readRequestLog(
  client: PocketBaseClient,
  collections: readonly Collection[],
  since: Date,
  signal: AbortSignal,
): Promise<RequestLog> {
  const now = new Date();
  // PocketBase compares times as texts.
  const [from, to] = [since, now].map((time) => time.toISOString().replace('T', ' '));
  const path = '(data.url~"/api/collections/"||data.url~"/api/files/"||data.url~"/api/batch")';
  const filter = `data.type="request"&&data.status<400&&${path}&&created>="${from}"&&created<="${to}"`;
  const uses = new Map<string, LoggedUse>();
  for (let page = 1; page * PAGE <= MAX_ROWS; page++) {
    const query = { page, perPage: PAGE, sort: '-created', filter, skipTotal: true };
    const { items } = await client.send<{ items: LogRow[] }>('/api/logs', { query, signal });
    for (const row of items) count(uses, row, collections);
    if (items.length < PAGE) break;
  }
  const oldest = { perPage: 1, sort: 'created', skipTotal: true };
  const [{ items }, { logs }] = await Promise.all([
    client.send<{ items: LogRow[] }>('/api/logs', { query: oldest, signal }),
    client.send<{ logs?: { maxDays?: number } }>('/api/settings', { signal }),
  ]);
  const first = items[0]?.created;
  const start = first === undefined ? null : new Date(first);
  return {
    uses: [...uses.values()],
    from: start === null ? null : new Date(Math.max(start.getTime(), since.getTime())).toISOString(),
    keptDays: logs?.maxDays ?? 0,
  };
}

function count(uses: Map<string, LoggedUse>, row: LogRow, collections: readonly Collection[]): void {
  const { auth, method, url, userIP, userAgent } = row.data;
  if (userAgent === PROBE_AGENT) return;
  const asked = requestOf(method ?? '', url ?? '', collections);
  // The service itself writes as a superuser, in batches.
  if (asked === undefined || (asked.kind === 'batch' && auth === '_superusers')) return;
  const one = {
    ...{ ...asked, method: method ?? '', auth: auth ?? '' },
    ...{ address: userIP ?? '', userAgent: userAgent ?? '' },
  };
  const key = JSON.stringify(one);
  const known = uses.get(key);
  if (known === undefined && uses.size >= MAX_USES) return;
  const lastTime = known?.lastTime ?? new Date(row.created).toISOString();
  uses.set(key, { ...one, count: (known?.count ?? 0) + 1, lastTime });
}

/** What a request asked of the collections; undefined if it is none of theirs. */
function requestOf(
  method: string,
  url: string,
  collections: readonly Collection[],
): Pick<LoggedUse, 'kind' | 'collection' | 'hasToken'> | undefined {
  const [path = '', search = ''] = url.split('?', 2);
  if (path === '/api/batch') return { kind: 'batch', collection: '', hasToken: false };
  const [, records, ofRecords, files] =
    /^\/api\/(?:collections\/([^/]+)\/(records)(?:\/|$)|files\/([^/]+)\/[^/]+\/.)/.exec(path) ?? [];
  const name = unescaped(records ?? files ?? '');
  const found = collections.find((one) => one.id === name || one.name.toLowerCase() === name.toLowerCase());
  if (found === undefined) return undefined;
  const kind = ofRecords === undefined ? 'file' : method === 'GET' || method === 'HEAD' ? 'read' : 'write';
  return { kind, collection: found.name, hasToken: new URLSearchParams(search).has('token') };
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
