import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TriedAccess } from '../catalog/catalog-access.ts';
import type { TriedRequest } from '../storage/bucket-access.ts';
import { goneAnswers, type GonePocketBase } from './gone-pocketbase.ts';
import { findNotMoved } from './lock-checks.ts';
import type { LockableSystem } from './lock-journal.ts';

/** Prefix of the temporary objects that the service stores in the old bucket. */
export const SERVICE_PREFIX = 'asset-service-probes/';

/** Result of one attempt. */
export interface Proof {
  /** Such as `anonymous-get`, `guest-create`, `worker-put`. */
  readonly name: string;
  /** Key, path or collection. */
  readonly what: string;
  readonly ok: boolean;
  /** The response, such as `HTTP 403`. */
  readonly text: string;
  /** What to do; empty if `ok`. */
  readonly toDo: string;
}

/** Additional attempts. */
export interface ProofOptions {
  /** Keys of old objects. */
  readonly keys: readonly string[];
  /** Token of an ordinary user of the catalog. */
  readonly userToken?: string;
  /** Access key of a program that wrote to the bucket. */
  readonly workerKey?: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** True to make only attempts of others, and only those that change nothing if they succeed. */
  readonly isShadow?: boolean;
  /** How long to wait for a store that applies changes with a delay, in milliseconds; default 10,000. */
  readonly patienceMs?: number;
}

const PATIENCE_MS = 10_000;
const RETRY_MS = 500;

const OPEN_BUCKET =
  'everybody can reach the bucket by another way than its policy and ACL, such as an anonymous identity of the store or ACLs of objects: close that, and repeat the command';
const OPEN_RULES = 'set the rule to superusers only (null) in PocketBase, and repeat the command';
const WORKER_CAN_WRITE =
  'the store still takes objects with this key: take the right to write from the key in the store, or delete the key, and repeat the command';

/**
 * Tries to access the old system as others would. If an attempt to write succeeds, removes what it stored.
 */
export async function proveLocked(
  system: LockableSystem,
  options: ProofOptions,
  signal: AbortSignal,
): Promise<readonly Proof[]> {
  const deadline = Date.now() + (options.patienceMs ?? PATIENCE_MS);
  for (;;) {
    const proofs = await tryAll(system, options, signal);
    if (proofs.every(({ ok }) => ok) || Date.now() > deadline) return proofs;
    await sleep(RETRY_MS, undefined, { signal });
  }
}

async function tryAll(
  system: LockableSystem,
  options: ProofOptions,
  signal: AbortSignal,
): Promise<readonly Proof[]> {
  const proofs = [bucketProofs, catalogProofs, ...(options.isShadow ? [] : [serviceProofs])];
  const groups = proofs.map((prove) => prove(system, options, signal));
  return (await Promise.all(groups)).flat();
}

async function bucketProofs(
  { bucketAccess }: LockableSystem,
  { keys, workerKey, isShadow }: ProofOptions,
  signal: AbortSignal,
): Promise<readonly Proof[]> {
  const { bucket } = bucketAccess;
  const probe = () => `${SERVICE_PREFIX}${randomUUID()}`;
  const cleaned = async (key: string, tried: TriedRequest) => {
    if (tried.outcome !== 'closed') await bucketAccess.delete(key, undefined, { signal });
    return tried;
  };
  const [anonymousKey, workerProbe] = [probe(), probe()];
  const gets = keys.map(async (key) =>
    closed(
      'anonymous-get',
      key,
      await bucketAccess.tryAnonymous({ kind: 'get', key }, { signal }),
      OPEN_BUCKET,
    ),
  );
  const list = bucketAccess
    .tryAnonymous({ kind: 'list' }, { signal })
    .then((tried) => closed('anonymous-list', bucket, tried, OPEN_BUCKET));
  const put = isShadow
    ? []
    : bucketAccess
        .tryAnonymous({ kind: 'put', key: anonymousKey }, { signal })
        .then((tried) => cleaned(anonymousKey, tried))
        .then((tried) => closed('anonymous-put', bucket, tried, OPEN_BUCKET));
  const worker = workerKey
    ? bucketAccess
        .tryPut(workerProbe, workerKey, { signal })
        .then((tried) => cleaned(workerProbe, tried))
        .then((tried) => closed('worker-put', workerKey.accessKeyId, tried, WORKER_CAN_WRITE))
    : [];
  return (await Promise.all([...gets, list, put, worker])).flat();
}

async function catalogProofs(
  { access, gone }: LockableSystem,
  { userToken }: ProofOptions,
  signal: AbortSignal,
): Promise<readonly Proof[]> {
  if (access === undefined) return gone === undefined ? [] : [await proofGone(gone, signal)];
  const { collection } = access;
  const writes = (who: string, tried: readonly TriedAccess[]) =>
    tried.map((one) => closed(`${who}-${one.name}`, collection, one, OPEN_RULES));
  const openFile = `PocketBase serves it to guests: protect the file field and close the viewRule to guests, and repeat the command`;
  return [
    ...writes('guest', await access.tryWrites(undefined, { signal })),
    ...(userToken === undefined ? [] : writes('user', await access.tryWrites(userToken, { signal }))),
    ...(await access.tryFiles({ signal })).map((one) => closed('api-files', one.name, one, openFile)),
  ];
}

/**
 * Checks that the service still works: it reads old objects and writes records, and every file is moved or
 * acknowledged.
 */
async function serviceProofs(
  { access, bucket, catalog }: LockableSystem,
  { keys }: ProofOptions,
  signal: AbortSignal,
): Promise<readonly Proof[]> {
  const reads = keys.map(async (key): Promise<Proof> => {
    const info = await bucket.reader.stat(key, { signal }).catch((error: unknown) => {
      signal.throwIfAborted();
      return error as Error;
    });
    const ok = info !== undefined && !(info instanceof Error);
    const toDo = ok
      ? ''
      : 'the service read by the right of everybody: give its key s3:GetObject and s3:ListBucket on the old bucket, and repeat the command; or "asset-service legacy unlock"';
    return { name: 'service-read', what: key, ok, text: ok ? 'it is read' : 'it is not read', toDo };
  });
  const tried = await access?.tryService({ signal });
  const write: readonly Proof[] =
    tried === undefined
      ? []
      : [
          {
            ...{
              name: 'service-write',
              what: access!.collection,
              ok: tried.outcome === 'open',
              text: tried.text,
            },
            toDo: tried.outcome === 'open' ? '' : 'PocketBase refuses the superuser of the service',
          },
        ];
  const { count, ids } = await findNotMoved(catalog, signal);
  const moved: Proof = {
    ...{ name: 'all-moved', what: ids.join(', '), ok: count === 0, text: `${count} files are not moved` },
    toDo:
      count === 0
        ? ''
        : 'they were written while the system was being locked: run "asset-service legacy backfill" and "asset-service verify", and repeat the command',
  };
  return [...(await Promise.all(reads)), ...write, moved];
}

function closed(
  name: string,
  what: string,
  { outcome, text }: TriedRequest | TriedAccess,
  toDo: string,
): Proof {
  const ok = outcome === 'closed';
  const unknown = 'nothing is known about it: repeat the command';
  return { name, what, ok, text, toDo: ok ? '' : outcome === 'open' ? toDo : unknown };
}

/** The proof that nothing answers under the URL. It proves nothing about the rules of the collection. */
async function proofGone(gone: GonePocketBase, signal: AbortSignal): Promise<Proof> {
  const answer = await gone.answer(signal);
  return {
    ...{ name: 'pocketbase-gone', what: gone.url, ok: answer === undefined },
    text: answer ?? 'no answer; its collection was not closed',
    toDo: answer === undefined ? '' : goneAnswers(gone, answer),
  };
}
