import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readFile, writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { isDeepStrictEqual } from 'node:util';
import { InvalidArgumentError } from 'commander';
import type { Config } from '../config/config.ts';
import { readAccessLog } from '../legacy/access-log.ts';
import { lock, unlock } from '../legacy/lock.ts';
import type { LockJournal } from '../legacy/lock-journal.ts';
import type { Proof } from '../legacy/proofs.ts';
import { StepRefused, type Refusal } from '../legacy/refused.ts';
import { shadowLock } from '../legacy/shadow.ts';
import { confirmed } from './confirm.ts';
import { shadowJson, shadowText } from './legacy-shadow.ts';
import { interruptible } from './interruptible.ts';
import { printable, say } from './terminal.ts';

/** Options of `legacy lock`. */
export interface LockFlags {
  readonly shadow?: true;
  readonly enforce?: true;
  readonly yes?: true;
  readonly json?: true;
  /** Days. */
  readonly maxAge: number;
  /** Days. */
  readonly logDays: number;
  readonly accessLog?: string;
  readonly userToken?: string;
  readonly workerKey?: string;
  readonly workerSecret?: string;
  readonly journal?: string;
  /** URL. */
  readonly withoutPocketbase?: string;
}

/** Options of `legacy unlock`. */
export interface UnlockFlags {
  readonly json?: true;
  readonly journal?: string;
  /** URL. */
  readonly withoutPocketbase?: string;
}

const DAY_MS = 86_400_000;

/** Runs `legacy lock`. Resolves with the exit code. */
export async function runLock(config: Config, flags: LockFlags): Promise<number> {
  if ((flags.shadow ?? false) === (flags.enforce ?? false)) {
    const text = 'give one of --shadow (says what would be refused, changes nothing) and --enforce (locks)';
    throw new InvalidArgumentError(text);
  }
  if ((flags.workerKey === undefined) !== (flags.workerSecret === undefined))
    throw new InvalidArgumentError('--worker-key and --worker-secret go together');
  return refusable(flags, () => (flags.shadow ? runShadow(config, flags) : runEnforce(config, flags)));
}

/** Runs `legacy unlock`. Resolves with the exit code. */
export async function runUnlock(config: Config, flags: UnlockFlags): Promise<number> {
  const { recordStep, withLockableSystem } = await import('../app/legacy.ts');
  const copy = flags.journal === undefined ? undefined : await readJournal(flags.journal);
  return refusable(flags, () =>
    repeatable(async (signal) => {
      const [result, access] = await withLockableSystem(
        config,
        async (system) => {
          const holder = { holder: randomUUID(), ...(copy && { copy }) };
          const done = await unlock(system, holder, signal);
          const [sample] = await system.bucket.reader.list('', { signal });
          return [done, await system.bucket.reader.publicAccess(sample?.key, { signal })] as const;
        },
        flags.withoutPocketbase,
      );
      const { wasLocked, restored, notRestored } = result;
      const facts = { restored: restored.join(' '), ...withoutFact(flags) };
      if (wasLocked) await recordStep(config, 'legacy.unlock', facts);
      const json = {
        ...{ unlocked: true, was_locked: wasLocked, restored, not_restored: notRestored },
        public_access: access,
      };
      const text = wasLocked
        ? [`unlocked: ${restored.join(', ')} are as they were before the lock`]
        : ['nothing is locked: there is no journal'];
      text.push(...notRestored.map((name) => `not restored, because its PocketBase is gone: ${name}`));
      const ways = `GET ${access.anonymousGet}, LIST ${access.anonymousList}`;
      output(flags, json, [...text, `without a key, as tried now: ${ways}`]);
      return 0;
    }),
  );
}

async function runShadow(config: Config, flags: LockFlags): Promise<number> {
  const { withLockableSystem } = await import('../app/legacy.ts');
  return repeatable(async (signal) => {
    const report = await withLockableSystem(
      config,
      async (system) => {
        const accessLog = flags.accessLog && (await readLog(flags.accessLog, system.bucketAccess.bucket));
        return shadowLock(
          system,
          {
            maxAgeMs: flags.maxAge * DAY_MS,
            since: new Date(Date.now() - flags.logDays * DAY_MS),
            ...(accessLog && { accessLog }),
            ...(flags.userToken !== undefined && { userToken: flags.userToken }),
          },
          signal,
        );
      },
      flags.withoutPocketbase,
    );
    output(flags, shadowJson(report), shadowText(report));
    return 0;
  });
}

async function runEnforce(config: Config, flags: LockFlags): Promise<number> {
  const what = 'lets nobody but the service write files and read the old bucket; "legacy unlock" undoes it';
  if (!(await confirmed(what, flags.yes ?? false))) return 1;
  const { operator, recordStep, withLockableSystem } = await import('../app/legacy.ts');
  const { workerKey, workerSecret, journal: path, userToken } = flags;
  return repeatable(async (signal) => {
    const { journal, wasLocked, proofs, isProven } = await withLockableSystem(
      config,
      (system) =>
        lock(
          system,
          {
            ...{ holder: randomUUID(), by: operator(), maxAgeMs: flags.maxAge * DAY_MS },
            ...(userToken !== undefined && { userToken }),
            ...(workerKey !== undefined && {
              workerKey: { accessKeyId: workerKey, secretAccessKey: workerSecret! },
            }),
            ...(path !== undefined && { keepCopy: (kept: LockJournal) => writeJournal(path, kept) }),
          },
          signal,
        ),
      flags.withoutPocketbase,
    );
    const failed = proofs.filter(({ ok }) => !ok);
    const facts = {
      proven: String(isProven),
      failed: failed.map(({ name }) => name).join(' '),
      ...withoutFact(flags),
    };
    await recordStep(config, 'legacy.lock', facts);
    const { gates, notKnown, lockTime, by } = journal;
    const json = {
      ...{ locked: isProven, was_locked: wasLocked, lock_time: lockTime, by, proofs: proofs.map(proofJson) },
      ...{ changed: gates, not_known: notKnown },
      ...(journal.withoutPocketBase !== undefined && { without_pocketbase: journal.withoutPocketBase }),
    };
    output(flags, json, [
      ...proofs.map(proofText),
      ...notKnown.map((name) => `the store knows no ${name}: there is nothing to close there`),
      ...(journal.withoutPocketBase === undefined ? [] : [notProven(journal.withoutPocketBase)]),
      isProven ? `locked since ${lockTime}, by ${by}` : 'closed, but not proven to be locked',
    ]);
    for (const { name, what, text, toDo } of failed) say(`${name} ${what}: ${text}: ${toDo}`);
    return isProven ? 0 : 1;
  });
}

/** What a lock without the PocketBase of before does not prove. */
export function notProven(url: string): string {
  return `the collection of the PocketBase ${url} was not proven closed: it was gone`;
}

function withoutFact({ withoutPocketbase: url }: LockFlags | UnlockFlags): Record<string, string> {
  return url === undefined ? {} : { without_pocketbase: url };
}

/** Prints refusals by name. Resolves with the exit code. */
export async function refusable(
  { json }: { readonly json?: true },
  work: () => Promise<number>,
): Promise<number> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof StepRefused)) throw error;
    const refused = error.refusals.map((one): Refusal => ({ reason: one.reason, text: one.text }));
    if (json) process.stdout.write(`${JSON.stringify({ refused })}\n`);
    for (const { reason, text } of refused) say(`${reason}: ${text}`);
    return 1;
  }
}

/** Runs work that SIGINT and SIGTERM abort; a repetition continues it. */
export function repeatable<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  return interruptible(new Error('interrupted: repeat the command, which goes on'), work);
}

/** Prints a result for programs or for people. */
export function output({ json }: { readonly json?: true }, result: object, lines: readonly string[]): void {
  process.stdout.write(json ? `${JSON.stringify(result)}\n` : `${lines.map(printable).join('\n')}\n`);
}

/** A proof for --json. */
export function proofJson({ name, what, ok, text, toDo }: Proof): object {
  return { name, what, ok, text, to_do: toDo };
}

function proofText({ name, what, ok, text }: Proof): string {
  return `${ok ? 'ok    ' : 'FAILED'}  ${name.padEnd(18)}  ${text.padEnd(22)}  ${what}`;
}

async function readLog(path: string, bucket: string) {
  const file = await open(path);
  await file.close();
  return readAccessLog(createInterface({ input: createReadStream(path), crlfDelay: Infinity }), bucket);
}

/** Writes the journal. Keeps an existing file with the same journal; throws for that of another lock. */
async function writeJournal(path: string, journal: LockJournal): Promise<void> {
  try {
    await writeFile(path, `${JSON.stringify(journal, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    if (isDeepStrictEqual((await readJournal(path)).gates, journal.gates)) return;
    throw new InvalidArgumentError(`--journal: ${path} has the journal of another lock: name a new file`);
  }
}

async function readJournal(path: string): Promise<LockJournal> {
  const text = await readFile(path, 'utf8');
  try {
    const journal = JSON.parse(text) as LockJournal;
    if (typeof journal.gates === 'object' && typeof journal.bucket === 'string') return journal;
  } catch {
    // Said below.
  }
  throw new InvalidArgumentError(`--journal: ${path} is no journal of "legacy lock"`);
}
