import { isDeepStrictEqual } from 'node:util';
import type { CatalogAccess, WriteRules } from '../catalog/catalog-access.ts';
import type { CatalogCall, JsonValue } from '../catalog/file-catalog.ts';
import type { LegacyRecords } from '../catalog/legacy-records.ts';
import { storeUnavailable } from '../errors/dependencies.ts';
import { SetupFault, setupFaultIn } from '../errors/setup-fault.ts';
import { BUCKET_SETTINGS, type BucketAccess } from '../storage/bucket-access.ts';
import type { OldSystem } from './old-system.ts';
import { OldBucketError } from './check.ts';
import type { GonePocketBase } from './gone-pocketbase.ts';

/** An old system that can be locked. */
export interface LockableSystem extends OldSystem {
  /** The PocketBase that is the catalog, or was before a move of the catalog; undefined if the settings name none. */
  readonly access: CatalogAccess | undefined;
  /** The PocketBase that was the catalog before a move, if it is switched off for good; then `access` is undefined. */
  readonly gone?: GonePocketBase;
  readonly bucketAccess: BucketAccess;
}

/** A setting of the old system that gives others access, and that a lock changes. */
export interface Gate {
  /** `collection`, `policy`, `acl` or `public-access-block`. */
  readonly name: string;
  /** Its current value; undefined if the store does not support the setting. */
  read(signal: AbortSignal): Promise<JsonValue | undefined>;
  write(value: JsonValue, signal: AbortSignal): Promise<void>;
  /** The value that gives nobody else access. */
  closed(value: JsonValue): JsonValue;
  isSame(a: JsonValue, b: JsonValue): boolean;
}

/** The values of a gate before and after the lock. A type alias, because interfaces are not assignable to JSON values.
 */
export type GateEntry = { readonly before: JsonValue; readonly after: JsonValue };

/** The changes of a lock, stored before the first one is made. */
export type LockJournal = {
  readonly phase: 'locking' | 'locked' | 'unlocking';
  /** The operator. */
  readonly by: string;
  readonly startTime: string;
  /** When the lock was proven; empty before. */
  readonly lockTime: string;
  readonly collection: string;
  readonly bucket: string;
  readonly gates: Readonly<Record<string, GateEntry>>;
  /** Gates that the store does not support. */
  readonly notKnown: readonly string[];
  /** URL of the PocketBase that was gone: its collection was neither closed nor tried. */
  readonly withoutPocketBase?: string;
};

const JOURNAL = 'legacy-lock';

/** The journal of the lock; undefined while nothing is locked. */
export async function lockJournal(
  legacy: LegacyRecords,
  call?: CatalogCall,
): Promise<LockJournal | undefined> {
  return ((await legacy.getState(JOURNAL, call)) ?? undefined) as LockJournal | undefined;
}

/** Stores the journal; undefined removes it. */
export async function putJournal(
  legacy: LegacyRecords,
  journal: LockJournal | undefined,
  call?: CatalogCall,
): Promise<void> {
  await legacy.putState(JOURNAL, journal ?? null, call);
}

/** The gates of a system in the order in which they are closed; they are opened in reverse. */
export function gatesOf({ access, bucketAccess }: LockableSystem): readonly Gate[] {
  return [
    ...(access ? [collectionGate(access)] : []),
    ...BUCKET_SETTINGS.map((one) => bucketGate(bucketAccess, one)),
  ];
}

function collectionGate(access: CatalogAccess): Gate {
  return {
    name: 'collection',
    read: async (signal) => ({ ...(await access.readRules({ signal })) }),
    write: (value, signal) => access.writeRules(value as unknown as WriteRules, { signal }),
    closed(value) {
      const { protectedFields } = value as unknown as WriteRules;
      const shut = Object.keys(protectedFields).map((field) => [field, true] as const);
      return {
        createRule: null,
        updateRule: null,
        deleteRule: null,
        protectedFields: Object.fromEntries(shut),
      };
    },
    isSame: (a, b) => isSameRules(a as unknown as WriteRules, b as unknown as WriteRules),
  };
}

/** Ignores fields that only one value has: they were added or removed by somebody else and are not part of the lock. */
function isSameRules(
  { protectedFields: a, ...rules }: WriteRules,
  { protectedFields: b, ...others }: WriteRules,
) {
  const shared = Object.keys(a).filter((field) => field in b);
  return isDeepStrictEqual(rules, others) && shared.every((field) => a[field] === b[field]);
}

function bucketGate(access: BucketAccess, setting: (typeof BUCKET_SETTINGS)[number]): Gate {
  const text = (value: JsonValue) => value as string | null;
  const explained = (error: unknown): never => {
    const fault = setupFaultIn(error);
    if (fault?.part !== 'permission') throw new OldBucketError(error);
    const said = `the access key may not read and change the ${setting} of the bucket, as lock and unlock must: ${fault.message}`;
    throw new OldBucketError(storeUnavailable(new SetupFault('permission', said, error)));
  };
  return {
    name: setting,
    read: (signal) => access.read(setting, { signal }).catch(explained),
    write: (value, signal) => access.write(setting, text(value), { signal }).catch(explained),
    closed: (value) => access.closed(setting, text(value)),
    isSame: (a, b) => access.isSame(setting, text(a), text(b)),
  };
}
