import type { LoggedUse, RequestLog } from '../catalog/catalog-access.ts';
import type { CatalogFinding, JsonValue } from '../catalog/file-catalog.ts';
import { acknowledgements } from './backfill-state.ts';
import type { AccessLogSummary } from './access-log.ts';
import { findNotMoved, lockRefusals, sampleOldKeys, type NotMoved } from './lock-checks.ts';
import { gatesOf, type LockableSystem } from './lock-journal.ts';
import { proveLocked, type Proof } from './proofs.ts';
import { StepRefused, type Refusal } from './refused.ts';
import { checkGone } from './gone-pocketbase.ts';
import { moveStatus, type UseSummary } from './status.ts';

export type { LoggedUse };

/** Options of {@link shadowLock}. */
export interface ShadowOptions {
  readonly maxAgeMs: number;
  /** Token of an ordinary user of the catalog. */
  readonly userToken?: string;
  /** Start of the logs to read. */
  readonly since: Date;
  readonly accessLog?: AccessLogSummary;
}

/** What a lock would change, and whose requests it would refuse. */
export interface ShadowReport {
  /** True if everything is already closed. */
  readonly isLocked: boolean;
  /** Why `--enforce` would be refused; none if it would not. */
  readonly refusals: readonly Refusal[];
  /** The changes: each gate with its current and its closed value. */
  readonly changes: readonly { readonly gate: string; readonly now: JsonValue; readonly then: JsonValue }[];
  readonly notKnown: readonly string[];
  /** What is open now, found by trying it. */
  readonly open: readonly Proof[];
  /** Requests in the log of the catalog that would be refused. */
  readonly hit: readonly LoggedUse[];
  /** Batch requests: the log does not show whether they change files. */
  readonly maybeHit: readonly LoggedUse[];
  /** How far the log of the catalog goes back; undefined if the catalog has none. */
  readonly log: Omit<RequestLog, 'uses'> | undefined;
  readonly accessLog: AccessLogSummary | undefined;
  /** Callers that use old paths through the service; the lock does not affect them. */
  readonly legacyPaths: readonly UseSummary[];
  readonly notMoved: NotMoved;
  /** The last file that was written past the service, as the audit found it. */
  readonly lastOldWrite: { readonly id: string; readonly time: string } | undefined;
  /** Ways to the files, other than the service, that the lock leaves open. */
  readonly stillOpen: readonly string[];
  readonly acknowledged: number;
}

/** Determines what a lock would do. Changes nothing. */
export async function shadowLock(
  system: LockableSystem,
  options: ShadowOptions,
  signal: AbortSignal,
): Promise<ShadowReport> {
  const { access, catalog } = system;
  const status = await moveStatus(catalog);
  const gates = await Promise.all(
    gatesOf(system).map(async (gate) => ({ gate, now: await gate.read(signal) })),
  );
  const changes = gates.flatMap(({ gate, now }) => {
    const then = now === undefined ? undefined : gate.closed(now);
    return now === undefined || then === undefined || gate.isSame(now, then)
      ? []
      : [{ gate: gate.name, now, then }];
  });
  const { keys } = await sampleOldKeys(system, status, signal);
  const userToken = options.userToken === undefined ? {} : { userToken: options.userToken };
  const tried = await proveLocked(system, { keys, ...userToken, patienceMs: 0, isShadow: true }, signal);
  const log = await access?.requests([access.collection], options.since, { signal });
  const findings = await catalog.inspect({ relations: [], usages: [] }, { signal });
  return {
    isLocked: status.lock?.phase === 'locked' && changes.length === 0,
    refusals: [
      ...(await goneRefusals(system, signal)),
      ...(await lockRefusals(system, status, options.maxAgeMs, signal)),
    ],
    changes,
    notKnown: gates.filter(({ now }) => now === undefined).map(({ gate }) => gate.name),
    open: tried.filter(({ ok }) => !ok),
    hit: (log?.uses ?? []).filter(isHit),
    maybeHit: (log?.uses ?? []).filter(({ kind }) => kind === 'batch'),
    log: log && { from: log.from, keptDays: log.keptDays },
    accessLog: options.accessLog,
    legacyPaths: status.uses,
    notMoved: await findNotMoved(catalog, signal),
    lastOldWrite: status.audit?.lastOldWrite,
    stillOpen: findings.filter(staysOpen).map(({ text }) => text),
    acknowledged: Object.keys(await acknowledgements(catalog.legacy, { signal })).length,
  };
}

async function goneRefusals({ gone }: LockableSystem, signal: AbortSignal): Promise<readonly Refusal[]> {
  try {
    await checkGone(gone, signal);
    return [];
  } catch (error) {
    if (error instanceof StepRefused) return error.refusals;
    throw error;
  }
}

/** True for requests that the lock refuses: writes and reads without a token, unless they are of a superuser. */
function isHit({ kind, auth, hasToken }: LoggedUse): boolean {
  if (auth === '_superusers') return false;
  return kind === 'write' || (kind === 'file' && !hasToken);
}

/** True for an opening that the lock leaves. It closes rules for writing and protects file fields. */
function staysOpen({ level, text }: CatalogFinding): boolean {
  const isClosed =
    /^The ((create|update|delete)Rule|file field)/.test(text) && !text.includes("the service's own");
  return level !== 'mistake' && !isClosed;
}
