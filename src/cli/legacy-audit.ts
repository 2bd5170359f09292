import { open, stat, type FileHandle } from 'node:fs/promises';
import type { Config } from '../config/config.ts';
import { SettingsError } from '../config/settings.ts';
import { audit } from '../legacy/audit.ts';
import { OTHER_HEADERS } from './legacy-backfill.ts';
import { interruptible } from './interruptible.ts';
import { refusable } from './legacy-lock.ts';
import { unwritable } from './report-file.ts';
import { endProgress, printable, showProgress } from './terminal.ts';
import type { LockableSystem } from '../legacy/lock-journal.ts';
import { problemsOf, type AuditReport } from '../legacy/audit-report.ts';
import type { LoggedUse } from '../legacy/shadow.ts';

/** Options of `legacy audit`. */
export interface AuditFlags {
  readonly json?: true;
  /** Path of the report: one JSON line for each file. */
  readonly report?: string;
  readonly restart?: true;
  readonly full?: true;
  readonly rate: number;
}

/** Runs `legacy audit` and prints what it found. Resolves with the exit code. */
export async function runAudit(config: Config, flags: AuditFlags): Promise<number> {
  const { withLockableSystem } = await import('../app/legacy.ts');
  const work = () =>
    interruptible(new Error('interrupted: the next run goes on'), async (signal) => {
      let file: FileHandle | undefined;
      let size = 0;
      try {
        const [report, writers] = await withLockableSystem(config, async (system) => {
          const done = await audit(
            system,
            {
              restart: flags.restart ?? false,
              full: flags.full ?? false,
              ...(flags.rate > 0 && { recordsPerSecond: flags.rate }),
              async begin(reportBytes, goesOn) {
                if (flags.report === undefined) return;
                file = await openReport(flags.report, reportBytes, goesOn);
                size = reportBytes;
              },
              async write(lines) {
                const text = Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
                if (file !== undefined) await file.write(text, 0, text.length, size);
                return (size += file === undefined ? 0 : text.length);
              },
              onProgress: ({ phase, records, objects }) =>
                showProgress(`${phase}: ${sumOf(records)} records, ${sumOf(objects)} objects`),
            },
            signal,
          );
          return [done, await writersOf(system, done, signal)] as const;
        });
        endProgress();
        process.stdout.write(
          flags.json ? `${JSON.stringify(toJson(report, writers))}\n` : asText(report, writers),
        );
        const problems = problemsOf(report);
        if (problems > 0)
          process.stderr.write(`asset-service: ${problems} files or objects need attention\n`);
        return problems > 0 ? 1 : 0;
      } finally {
        await file?.close();
      }
    });
  return refusable(flags, work);
}

/** Opens the report, of which a run that goes on writes the rest. */
async function openReport(path: string, reportBytes: number, goesOn: boolean): Promise<FileHandle> {
  if (goesOn) {
    const size = (await stat(path).catch(() => undefined))?.size ?? 0;
    if (reportBytes === 0 || size < reportBytes) {
      const text =
        reportBytes === 0
          ? 'the interrupted audit, which would go on, wrote no report'
          : `${path} is not the report of the interrupted audit, which would go on`;
      throw new SettingsError([`--report: ${text}: name that file, or start again with --restart`]);
    }
  }
  try {
    const file = await open(path, goesOn ? 'r+' : 'w', 0o600);
    await file.truncate(reportBytes);
    return file;
  } catch (error) {
    throw unwritable(path, error);
  }
}

function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/**
 * Who has written records other than through the service, according to the log of the catalog, since it serves old
 * files.
 */
async function writersOf(
  { access }: Pick<LockableSystem, 'access'>,
  { since }: AuditReport,
  signal: AbortSignal,
): Promise<readonly LoggedUse[]> {
  if (access === undefined || since === undefined) return [];
  const { uses } = await access.requests([access.collection], new Date(since), { signal });
  return uses.filter(({ kind }) => kind === 'write' || kind === 'batch');
}

function toJson(report: AuditReport, writers: readonly LoggedUse[]): object {
  const { records, objects, headers = {}, access, findings, startTime, resumedFrom, lastOldWrite } = report;
  return {
    ...{ problems: problemsOf(report), records, objects, headers, access, findings },
    past_service: {
      ...{ since: report.since ?? null, records: report.recordsPastService ?? 0 },
      ...{ objects: report.objectsPastService ?? 0, last_object_time: report.lastOldObject ?? null },
      writers: writers.map(({ method, auth, address, userAgent, count, lastTime }) => ({
        ...{ method, auth, address, user_agent: userAgent, count, last_time: lastTime },
      })),
    },
    full: report.full ?? false,
    ...{ start_time: startTime, resumed_from: resumedFrom, last_old_write: lastOldWrite ?? null },
  };
}

const MEANINGS: Readonly<Record<string, string>> = {
  whole: 'old files, as their records say',
  moved: 'files in the store of the service',
  'moved-damaged': 'files of the service whose bytes are not in its store',
  missing: 'records without bytes',
  'no-key': 'records whose fields give no key',
  'size-mismatch': 'objects of another size than the record says',
  'type-mismatch': 'objects of another type than the record says',
  'foreign-link': 'links to an object of another record',
  'checksum-mismatch': 'objects whose bytes contradict a checksum',
  unknown: 'not known: the store did not answer',
  known: 'objects of records',
  thumb: 'thumbs of such objects',
  orphan: 'objects without a record',
  'orphan-thumb': 'thumbs of files that are gone',
};

function asText(report: AuditReport, writers: readonly LoggedUse[]): string {
  const { records, objects, headers = {}, access, findings, lastOldWrite } = report;
  const rows = (counts: Readonly<Record<string, number>>) =>
    Object.entries(counts).map(
      ([status, count]) => `  ${String(count).padStart(9)}  ${MEANINGS[status] ?? status}`,
    );
  const ways = {
    policy: access.policy,
    ACL: access.acl,
    GET: access.anonymousGet,
    LIST: access.anonymousList,
  };
  return [
    ...['records', ...rows(records), 'objects', ...rows(objects)],
    ...(Object.keys(headers).length > 0 ? [OTHER_HEADERS, ...rows(headers)] : []),
    `public access: ${Object.entries(ways)
      .map(([way, is]) => `${way} ${is}`)
      .join(', ')}`,
    ...findings.map(({ level, text }) => `${level}: ${text}`),
    ...pastService(report),
    ...writers.map(
      ({ auth, address, userAgent, count, lastTime }) =>
        `  ${count} writes by ${printable(`${auth || 'a guest'} at ${address}, ${userAgent}`)}, the last at ${lastTime}`,
    ),
    ...(lastOldWrite ? [`last file written past the service: ${lastOldWrite.id}, ${lastOldWrite.time}`] : []),
    '',
  ].join('\n');
}

function pastService({ since, recordsPastService = 0, objectsPastService = 0, lastOldObject }: AuditReport) {
  if (since === undefined) return [];
  const last = lastOldObject === undefined ? '' : `, the last object at ${lastOldObject}`;
  return [
    `past the service since ${since}: ${recordsPastService} records, ${objectsPastService} objects${last}`,
  ];
}
