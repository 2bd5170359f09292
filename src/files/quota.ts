import { AssetError } from '../errors/asset-error.ts';
import { tooManyUploads } from '../errors/limits.ts';
import type { FileCatalog } from '../catalog/file-catalog.ts';
import { Holds, type Bound, type Hold, type Used } from './quota-holds.ts';
import type { Quota } from './policy/policy-file.ts';
import type { UsagePolicies } from './policy/usage-policies.ts';

/** Owner and usage whose quotas a file counts against. */
export interface QuotaSubject {
  readonly owner: string;
  readonly usage: string;
}

/** Room in the quotas of an owner, for an upload, a session or a change, until disposed. */
export type QuotaHold = Hold;

/** Quotas of an owner and their current use. */
interface QuotaContext {
  readonly policies: UsagePolicies;
  readonly catalog: FileCatalog;
}

/** A limit and what the catalog counts for it. */
interface Counted {
  readonly bound: Bound;
  readonly read: () => Promise<Used>;
}

/** What a hold is for. */
export interface Wanted {
  /** Bytes of the file, as far as known. */
  readonly sizeBytes: number;
  /**
   * What the catalog already counts of it: the claim of a continued session; `owner` for a file that already counts
   * for its owner and only changes its usage.
   */
  readonly counted?: Used | 'owner';
  /** The caller who opens a session. */
  readonly opener?: { readonly caller: string; readonly maxOpen: number };
}

/**
 * Enforces quotas of owners, and the number of open sessions of callers.
 *
 * The catalog counts existing files (including soft-deleted ones) and open sessions; this process adds its work in
 * progress. So one process never exceeds a quota. Work of other replicas is not visible before it is in the
 * catalog: together they may exceed a quota by it.
 */
export class Quotas {
  readonly #holds = new Holds();

  /**
   * Takes room for one file.
   *
   * @throws AssetError QUOTA_EXCEEDED, TOO_MANY_UPLOADS
   */
  async hold(
    context: QuotaContext,
    subject: QuotaSubject,
    { sizeBytes, counted, opener }: Wanted,
    signal: AbortSignal,
  ): Promise<QuotaHold> {
    const ownerRooms = roomsOf(context, subject, counted === 'owner');
    const caller = opener === undefined ? undefined : sessionsOf(context, opener, signal);
    const bounds = [...ownerRooms.map(({ bound }) => bound), ...(caller ? [caller.bound] : [])];
    const before = typeof counted === 'object' ? counted : { files: 0, bytes: 0 };
    const read = async () => {
      const [ofOwner, ofCaller] = await Promise.all([
        usedOf(context, subject, ownerRooms, signal),
        caller ? caller.read() : undefined,
      ]);
      return ofCaller ? [...ofOwner, ofCaller] : ofOwner;
    };
    const more = (bytes: number) => Math.max(0, bytes - before.bytes);
    const hold = await this.#holds.take(bounds, { files: 1 - before.files, bytes: more(sizeBytes) }, read);
    return {
      grow: (bytes) => hold.grow(more(bytes)),
      confirm: () => hold.confirm(),
      [Symbol.dispose]: () => hold[Symbol.dispose](),
    };
  }
}

/** A quota and its usage, or all usages if `usage` is undefined. */
interface Room {
  readonly bound: Bound;
  readonly usage: string | undefined;
}

/** The quotas of a file; none without an owner. */
function roomsOf({ policies }: QuotaContext, subject: QuotaSubject, usageAlone: boolean): readonly Room[] {
  const { owner } = subject;
  if (owner === '') return [];
  const quotas = [
    { quota: policies.ofExisting(subject.usage).quota, usage: subject.usage },
    { quota: usageAlone ? undefined : policies.ownerQuota, usage: undefined },
  ];
  return quotas.flatMap(({ quota, usage }) => {
    if (quota === undefined) return [];
    const assertWithin = (used: Used) => assertWithinQuota(quota, used, { owner, usage });
    return [{ usage, bound: { key: JSON.stringify([owner, usage]), assertWithin } }];
  });
}

/** What the catalog counts for each quota: files and open sessions. */
async function usedOf(
  { catalog }: QuotaContext,
  { owner }: QuotaSubject,
  rooms: readonly Room[],
  signal: AbortSignal,
): Promise<Used[]> {
  if (rooms.length === 0) return [];
  // Sessions first: one that becomes a file meanwhile then counts twice instead of not at all.
  const claims = await catalog.uploads.claimsOf(owner, { signal });
  return Promise.all(
    rooms.map(async ({ usage }) => {
      const { files, bytes } = await catalog.totalsOf(owner, usage, { signal });
      const open = claims.filter((claim) => usage === undefined || claim.usage === usage);
      return {
        files: open.reduce((sum, claim) => sum + claim.files, files),
        bytes: open.reduce((sum, claim) => sum + claim.bytes, bytes),
      };
    }),
  );
}

/** The limit of one caller's open sessions. */
function sessionsOf(
  { catalog }: QuotaContext,
  { caller, maxOpen }: NonNullable<Wanted['opener']>,
  signal: AbortSignal,
): Counted | undefined {
  if (maxOpen === 0) return undefined;
  const assertWithin = ({ files }: Used) => {
    if (files <= maxOpen) return;
    throw tooManyUploads(`you have ${maxOpen} that are not finished, as many as one caller may`, maxOpen);
  };
  const read = async () => ({ files: await catalog.uploads.countOf(caller, maxOpen, { signal }), bytes: 0 });
  return { bound: { key: `caller ${caller}`, assertWithin }, read };
}

function assertWithinQuota(
  quota: Quota,
  used: Used,
  { owner, usage }: { readonly owner: string; readonly usage: string | undefined },
): void {
  const { maxBytesPerOwner: bytes = Infinity, maxFilesPerOwner: files = Infinity } = quota;
  const [name, limit, wanted] =
    used.files > files ? (['files', files, used.files] as const) : (['bytes', bytes, used.bytes] as const);
  if (wanted <= limit) return;
  const what = usage === undefined ? 'of all usages' : `of usage "${usage}"`;
  throw new AssetError(
    'QUOTA_EXCEEDED',
    `owner "${owner}" may have ${limit} ${name} ${what}, and would have ${wanted}: delete some, or cancel uploads that are not finished; deleted files count until they are purged`,
    {
      metadata: {
        owner,
        ...(usage !== undefined && { usage }),
        ...{ quota: name, limit: String(limit), used: String(wanted) },
      },
    },
  );
}
