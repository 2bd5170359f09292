import type { JsonValue } from '../catalog/file-catalog.ts';
import { reached } from '../system/crash-points.ts';
import { exclusively, type StepHolder } from './exclusive.ts';
import { checkGone } from './gone-pocketbase.ts';
import { lockRefusals, sampleOldKeys } from './lock-checks.ts';
import {
  gatesOf,
  lockJournal,
  putJournal,
  type Gate,
  type GateEntry,
  type LockableSystem,
  type LockJournal,
} from './lock-journal.ts';
import { proveLocked, type Proof, type ProofOptions } from './proofs.ts';
import { StepRefused, type Refusal } from './refused.ts';
import { moveStatus } from './status.ts';

/** Options of {@link lock}. */
export interface LockOptions extends StepHolder, Omit<ProofOptions, 'keys'> {
  /** The operator, for the journal. */
  readonly by: string;
  /** Maximum age of the verification, in milliseconds. */
  readonly maxAgeMs: number;
  /** Called with the journal before anything is changed. */
  readonly keepCopy?: (journal: LockJournal) => Promise<void>;
}

/** Result of {@link lock}. */
export interface LockResult {
  readonly journal: LockJournal;
  /** True if it was locked before. */
  readonly wasLocked: boolean;
  readonly proofs: readonly Proof[];
  /** True if every proof holds. */
  readonly isProven: boolean;
}

/** Result of an unlock. */
export interface UnlockResult {
  /** False if nothing was locked. */
  readonly wasLocked: boolean;
  /** Names of the gates that have their values before the lock again. */
  readonly restored: readonly string[];
  /** Names of the gates that are not there any more: that of a PocketBase that is gone. */
  readonly notRestored: readonly string[];
}

/** Name of the lease of lock and unlock. */
const LEASE = 'legacy-lock';

/**
 * Closes the old system for everybody but the service, and proves it by trying to get in. Before the first change it
 * tests the permission to restore every setting, and saves their values in the journal. May be repeated, also after a
 * crash: a repetition continues.
 *
 * @throws StepRefused before anything was changed, or CHANGED_BY_OTHERS
 */
export function lock(system: LockableSystem, options: LockOptions, signal: AbortSignal): Promise<LockResult> {
  const { legacy } = system.catalog;
  return exclusively(system.catalog, LEASE, options, signal, async (held) => {
    const status = await moveStatus(system.catalog);
    await checkGone(system.gone, held);
    await checkToken(system, options, held);
    const kept = await lockJournal(legacy, { signal: held });
    if (kept) {
      checkPlace(system, kept);
      await options.keepCopy?.(kept);
    }
    let journal = kept ?? (await begin(system, options, held));
    const now = await continued(system, journal, held);
    if (now !== journal) await putJournal(legacy, now, { signal: held });
    journal = now;
    for (const gate of gatesOf(system)) {
      const entry = journal.gates[gate.name];
      if (entry && (await move(gate, entry, 'after', held))) reached('lock.gate-closed', { gate: gate.name });
    }
    const { keys } = await sampleOldKeys(system, status, held);
    const proofs = await proveLocked(system, { ...options, keys }, held);
    const isProven = proofs.every(({ ok }) => ok);
    reached('lock.proven');
    const wasLocked = kept?.phase === 'locked';
    const phase = isProven ? 'locked' : 'locking';
    const lockTime = isProven ? journal.lockTime || new Date().toISOString() : '';
    journal = { ...journal, phase, lockTime };
    await putJournal(legacy, journal, { signal: held });
    return { journal, wasLocked, proofs, isProven };
  });
}

/**
 * Restores the values in the journal, verifies them, and removes the journal. May be repeated, also after a crash.
 *
 * @param copy - a journal that was kept outside the catalog, for a catalog that has none
 * @throws StepRefused CHANGED_BY_OTHERS
 */
export function unlock(
  system: LockableSystem,
  { copy, ...holder }: StepHolder & { readonly copy?: LockJournal },
  signal: AbortSignal,
): Promise<UnlockResult> {
  const { legacy } = system.catalog;
  return exclusively(system.catalog, LEASE, holder, signal, async (held) => {
    await checkGone(system.gone, held);
    const journal = (await lockJournal(legacy, { signal: held })) ?? copy;
    if (journal === undefined) return { wasLocked: false, restored: [], notRestored: [] };
    checkPlace(system, journal);
    if (journal.phase !== 'unlocking') {
      await putJournal(legacy, { ...journal, phase: 'unlocking', lockTime: '' }, { signal: held });
      reached('unlock.begun');
    }
    const entries = gatesOf(system)
      .toReversed()
      .flatMap((gate) => {
        const entry = journal.gates[gate.name];
        return entry ? [{ gate, entry }] : [];
      });
    for (const { gate, entry } of entries) {
      if (await move(gate, entry, 'before', held)) reached('unlock.gate-opened', { gate: gate.name });
    }
    // Check all again: opening a gate may have changed one opened before.
    for (const { gate, entry } of entries) await move(gate, entry, 'before', held);
    await putJournal(legacy, undefined, { signal: held });
    const restored = entries.map(({ gate }) => gate.name);
    const notRestored = Object.keys(journal.gates).filter((name) => !restored.includes(name));
    return { wasLocked: true, restored, notRestored };
  });
}

/** Checks the preconditions, tests the permission to restore, and writes the journal. */
async function begin(
  system: LockableSystem,
  options: LockOptions,
  signal: AbortSignal,
): Promise<LockJournal> {
  const [first, ...more] = await lockRefusals(
    system,
    await moveStatus(system.catalog),
    options.maxAgeMs,
    signal,
  );
  if (first) throw new StepRefused(first, ...more);
  const gates: Record<string, GateEntry> = {};
  const notKnown: string[] = [];
  for (const gate of gatesOf(system)) {
    const entry = await entryOf(gate, signal);
    if (entry === undefined) notKnown.push(gate.name);
    else gates[gate.name] = entry;
  }
  const journal: LockJournal = {
    ...{ phase: 'locking', by: options.by, startTime: new Date().toISOString(), lockTime: '' },
    ...{ collection: system.access?.collection ?? '', bucket: system.bucketAccess.bucket, gates, notKnown },
    ...(system.gone && { withoutPocketBase: system.gone.url }),
  };
  await options.keepCopy?.(journal);
  await putJournal(system.catalog.legacy, journal, { signal });
  reached('lock.journaled');
  return journal;
}

/** The values of a gate; undefined if the store does not support it. Tests the permission to restore it. */
async function entryOf(gate: Gate, signal: AbortSignal): Promise<GateEntry | undefined> {
  const before = await gate.read(signal);
  if (before === undefined) return undefined;
  const after = gate.closed(before);
  if (!gate.isSame(before, after)) {
    await gate.write(before, signal);
    const again = await gate.read(signal);
    if (again === undefined || !gate.isSame(before, again)) throw changed(gate, again ?? null);
  }
  return { before, after };
}

/** The journal of a lock that goes on: with the collection of a PocketBase that was gone and is back, or the reverse. */
async function continued(
  { access, gone, ...system }: LockableSystem,
  journal: LockJournal,
  signal: AbortSignal,
): Promise<LockJournal> {
  const { withoutPocketBase, ...others } = journal;
  if (gone !== undefined) {
    if (withoutPocketBase === gone.url && journal.phase !== 'unlocking') return journal;
    return { ...journal, phase: 'locking', withoutPocketBase: gone.url };
  }
  if (withoutPocketBase === undefined || access === undefined)
    return journal.phase === 'unlocking' ? { ...journal, phase: 'locking' } : journal;
  const added: Record<string, GateEntry> = {};
  for (const gate of gatesOf({ ...system, access })) {
    const entry = gate.name in journal.gates ? undefined : await entryOf(gate, signal);
    if (entry !== undefined) added[gate.name] = entry;
  }
  const gates = { ...journal.gates, ...added };
  return { ...others, phase: 'locking', lockTime: '', collection: access.collection, gates };
}

/** Moves a gate from one value of its entry to the other. Returns false if it already had that value. */
async function move(
  gate: Gate,
  entry: GateEntry,
  to: keyof GateEntry,
  signal: AbortSignal,
): Promise<boolean> {
  const now = await gate.read(signal);
  if (now !== undefined && gate.isSame(now, entry[to])) return false;
  const from = entry[to === 'after' ? 'before' : 'after'];
  if (now === undefined || !gate.isSame(now, from)) throw changed(gate, now ?? null);
  await gate.write(entry[to], signal);
  const written = await gate.read(signal);
  if (written === undefined || !gate.isSame(written, entry[to])) throw changed(gate, written ?? null);
  return true;
}

/** Throws BAD_JOURNAL if the journal is of another bucket or collection. */
function checkPlace({ access, bucketAccess, gone }: LockableSystem, journal: LockJournal): void {
  const [bucket, collection] = [bucketAccess.bucket, access?.collection ?? ''];
  // A PocketBase that is gone has no collection, and one that was gone had none.
  const mayDiffer =
    gone !== undefined || (journal.collection === '' && journal.withoutPocketBase !== undefined);
  if (journal.bucket === bucket && (journal.collection === collection || mayDiffer)) return;
  const isUnnamed = access === undefined && journal.collection !== '';
  const names = isUnnamed
    ? 'ASSET_POCKETBASE_URL, ASSET_POCKETBASE_EMAIL, ASSET_POCKETBASE_PASSWORD, or --without-pocketbase URL if that PocketBase is switched off for good'
    : 'ASSET_LEGACY_S3_BUCKET, ASSET_POCKETBASE_COLLECTION';
  const text = `${names}: the journal is about the bucket ${JSON.stringify(journal.bucket)} and the collection ${JSON.stringify(journal.collection)}`;
  throw new StepRefused({ reason: 'BAD_JOURNAL', text });
}

async function checkToken(
  { access }: LockableSystem,
  { userToken }: LockOptions,
  signal: AbortSignal,
): Promise<void> {
  if (userToken === undefined || access === undefined) return;
  if (await access.isUserToken(userToken, { signal })) return;
  const text = '--user-token: PocketBase does not accept it, so it would be tried as a guest';
  throw new StepRefused({ reason: 'BAD_USER_TOKEN', text });
}

function changed({ name }: Gate, now: JsonValue): StepRefused {
  const refusal: Refusal = {
    reason: 'CHANGED_BY_OTHERS',
    text: `the ${name} was changed by somebody else: it is ${JSON.stringify(now)}, neither as before the lock nor as the lock left it. "asset-service legacy status --json" shows both: set it to one of them, and repeat the command`,
  };
  return new StepRefused(refusal);
}
