import { once } from 'node:events';
import { connect } from 'node:net';
import { getTokenPayload } from 'pocketbase';
import type { TriedAccess } from '../catalog-access.ts';
import type { PocketBaseClient } from './client.ts';
import type { Collection } from './collection.ts';
import { Refusal } from './failures.ts';

/** Name by which requests that are only tried are recognised in the log of PocketBase. */
export const PROBE_AGENT = 'asset-service-probe';

const TIMEOUT_MS = 10_000;

/** An id that PocketBase takes for no new record. */
const NO_NEW_ID = '!';

/** An id that no record has. */
const NO_RECORD = 'asset0probe0000';

/** Records of each collection whose files are tried. */
const SAMPLES = 3;

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/**
 * Tries to write records without being a superuser. A rule of null refuses with 403 before PocketBase looks at ids and values;
 * any other answer means that the rule lets somebody in. The requests name ids that cannot be, so that nothing changes.
 */
export async function tryWrites(
  url: string,
  collection: string,
  token: string | undefined,
  signal: AbortSignal,
): Promise<readonly TriedAccess[]> {
  const records = `/api/collections/${encodeURIComponent(collection)}/records`;
  const writes = [
    { name: 'create', method: 'POST', url: records, body: { id: NO_NEW_ID } },
    { name: 'update', method: 'PATCH', url: `${records}/${NO_RECORD}`, body: {} },
    { name: 'delete', method: 'DELETE', url: `${records}/${NO_RECORD}` },
    // PUT is only known in a batch: it creates or updates.
    { name: 'upsert', method: 'PUT', url: records, body: { id: NO_NEW_ID }, onlyInBatch: true },
  ];
  const tried: TriedAccess[] = [];
  for (const { name, onlyInBatch, ...request } of writes) {
    if (!onlyInBatch) {
      const answer = await ask(url + request.url, request, token, signal);
      tried.push({ name, ...outcomeOf(answer) });
    }
    const batch = { method: 'POST', body: { requests: [{ body: {}, ...request }] } };
    const answer = await ask(`${url}/api/batch`, batch, token, signal);
    tried.push({ name: `batch-${name}`, ...outcomeOf(answer) });
  }
  return tried;
}

/**
 * What answers under a URL, such as `HTTP 200`; undefined if no connection is taken. What takes one and says nothing is
 * there too. A name server that does not answer proves nothing.
 */
export async function answerAt(url: string, signal: AbortSignal): Promise<string | undefined> {
  const { hostname, port, protocol } = new URL(url);
  const socket = connect({
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port) || (protocol === 'https:' ? 443 : 80),
    signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
  });
  try {
    await once(socket, 'connect');
  } catch (error) {
    signal.throwIfAborted();
    return (error as NodeJS.ErrnoException).code === 'EAI_AGAIN' ? 'its name cannot be looked up' : undefined;
  } finally {
    socket.destroy();
  }
  const answer = await ask(new URL('/api/health', url).href, { method: 'GET' }, undefined, signal);
  return answer === undefined ? 'it takes connections' : `HTTP ${answer.status}`;
}

/** Tries to read files, and thumbs of them, without a token. Each collection may be a view. */
export async function tryFiles(
  url: string,
  client: PocketBaseClient,
  collections: readonly Collection[],
  signal: AbortSignal,
): Promise<readonly TriedAccess[]> {
  const tried: TriedAccess[] = [];
  for (const { name: collection, fields } of collections) {
    for (const { name: field, ...options } of fields.filter(({ type }) => type === 'file')) {
      const filter = `${field}:length>0`;
      const raws = await client.list(collection, { filter, sort: 'id', limit: SAMPLES }, signal);
      const [thumb] = (options['thumbs'] as readonly string[] | undefined) ?? [];
      for (const raw of raws) {
        const [file] = [raw[field]].flat();
        if (typeof file !== 'string' || file === '') continue;
        const path = `/api/files/${collection}/${raw.id}/${encodeURIComponent(file)}`;
        for (const name of [path, ...(thumb === undefined ? [] : [`${path}?thumb=${thumb}`])]) {
          const answer = await ask(url + name, { method: 'GET' }, undefined, signal);
          tried.push({ name, ...fileOutcomeOf(answer) });
        }
      }
    }
  }
  return tried;
}

/** Tries whether a superuser may still write records: PocketBase says that a record is missing, not that it may not. */
export async function trySuperuser(
  client: PocketBaseClient,
  collection: string,
  signal: AbortSignal,
): Promise<TriedAccess> {
  try {
    await client.batch([{ method: 'PATCH', collection, id: NO_RECORD, body: {} }], signal);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const { status, text } = error;
    return { name: 'service', outcome: status === 404 ? 'open' : 'closed', text: `HTTP ${status} ${text}` };
  }
  return { name: 'service', outcome: 'open', text: 'HTTP 200' };
}

/** True if PocketBase accepts the token of a user. It takes every other token for that of a guest. */
export async function isUserToken(url: string, token: string, signal: AbortSignal): Promise<boolean> {
  const { collectionId } = getTokenPayload(token) as { readonly collectionId?: unknown };
  if (typeof collectionId !== 'string') return false;
  const path = `/api/collections/${encodeURIComponent(collectionId)}/auth-refresh`;
  return (await ask(url + path, { method: 'POST' }, token, signal))?.status === 200;
}

/** The answer; undefined if there was none. */
async function ask(
  url: string,
  { method, body }: { readonly method: string; readonly body?: object },
  token: string | undefined,
  signal: AbortSignal,
): Promise<Answer | undefined> {
  const headers = {
    'user-agent': PROBE_AGENT,
    ...(body && { 'content-type': 'application/json' }),
    ...(token !== undefined && { authorization: token }),
  };
  const limit = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
  try {
    const sent = { method, headers, redirect: 'manual', signal: limit } as const;
    const response = await fetch(url, { ...sent, ...(body && { body: JSON.stringify(body) }) });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') ?? false;
    return { status: response.status, body: isJson && text !== '' ? JSON.parse(text) : undefined };
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

function outcomeOf(answer: Answer | undefined): Omit<TriedAccess, 'name'> {
  if (answer === undefined) return { outcome: 'unknown', text: 'no answer' };
  const { data } = (answer.body ?? {}) as {
    data?: { requests?: Record<string, { response?: { status?: number } }> };
  };
  const inner = Object.values(data?.requests ?? {})[0]?.response?.status;
  const status = inner ?? answer.status;
  const text = inner === undefined ? `HTTP ${status}` : `HTTP ${answer.status}, inside ${status}`;
  if (status === 403) return { outcome: 'closed', text };
  return { outcome: status >= 500 || status === 429 ? 'unknown' : 'open', text };
}

/** PocketBase answers 404 for a file that the caller may not read. */
function fileOutcomeOf(answer: Answer | undefined): Omit<TriedAccess, 'name'> {
  if (answer === undefined) return { outcome: 'unknown', text: 'no answer' };
  const { status } = answer;
  const isRefused = [401, 403, 404].includes(status);
  return { outcome: isRefused ? 'closed' : status < 400 ? 'open' : 'unknown', text: `HTTP ${status}` };
}
