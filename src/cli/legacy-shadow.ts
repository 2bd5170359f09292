import type { BucketUse } from '../legacy/access-log.ts';
import type { LoggedUse, ShadowReport } from '../legacy/shadow.ts';

/** A report for --json. */
export function shadowJson(report: ShadowReport): object {
  const { accessLog, log, notMoved, lastOldWrite, legacyPaths } = report;
  return {
    ...{ mode: 'shadow', locked: report.isLocked, refused: report.refusals, changes: report.changes },
    not_known: report.notKnown,
    open: report.open.map(({ name, what, text }) => ({ name, what, text })),
    would_refuse: report.hit.map(useJson),
    may_refuse: report.maybeHit.map(useJson),
    log: log ? { from: log.from, kept_days: log.keptDays } : null,
    access_log: accessLog
      ? { uses: accessLog.uses.map(bucketUseJson), unreadable: accessLog.unreadable }
      : null,
    legacy_paths: legacyPaths.map(({ lastDay, ...use }) => ({ ...use, last_day: lastDay })),
    not_moved: { count: notMoved.count, ids: notMoved.ids },
    ...{ acknowledged: report.acknowledged, last_old_write: lastOldWrite ?? null },
    still_open: report.stillOpen,
  };
}

/** The same for people. */
export function shadowText(report: ShadowReport): readonly string[] {
  const { accessLog, log, notMoved, lastOldWrite } = report;
  const none = (lines: readonly string[]) => (lines.length === 0 ? ['  none'] : lines);
  return [
    'nothing was changed; this is what "legacy lock --enforce" would do',
    'changes:',
    ...none(
      report.changes.map(
        ({ gate, now, then }) => `  ${gate}: ${JSON.stringify(now)} -> ${JSON.stringify(then)}`,
      ),
    ),
    ...report.notKnown.map((gate) => `  the store knows no ${gate}`),
    'open now, as tried:',
    ...none(report.open.map(({ name, what, text }) => `  ${name.padEnd(18)}  ${text.padEnd(22)}  ${what}`)),
    log
      ? `requests that would be refused, by the log of PocketBase since ${log.from ?? 'now'}:`
      : 'the catalog has no log of requests',
    ...(log ? none(report.hit.map(useText)) : []),
    ...(report.maybeHit.length > 0
      ? ['batches, refused if they write files:', ...report.maybeHit.map(useText)]
      : []),
    ...(accessLog
      ? [
          `requests to the bucket, by its access log (${accessLog.unreadable} lines are not readable):`,
          ...none(accessLog.uses.map(bucketUseText)),
        ]
      : []),
    'old paths through the service, which go on:',
    ...none(
      report.legacyPaths.map(
        ({ caller, kind, count, lastDay }) => `  ${caller} (${kind}): ${count} times, last on ${lastDay}`,
      ),
    ),
    `files that are not moved: ${notMoved.count} ${notMoved.ids.join(', ')}`.trim(),
    `acknowledged files that stay in the old bucket: ${report.acknowledged}`,
    ...(lastOldWrite
      ? [`last file written past the service, by the audit: ${lastOldWrite.id}, ${lastOldWrite.time}`]
      : []),
    'left open by the lock:',
    ...none(report.stillOpen.map((text) => `  ${text}`)),
    report.refusals.length === 0 ? '--enforce would not be refused' : '--enforce would be refused:',
    ...report.refusals.map(({ reason, text }) => `  ${reason}: ${text}`),
  ];
}

/** Logged requests for --json. */
export function useJson({ hasToken: _, lastTime, userAgent, ...use }: LoggedUse): object {
  return { ...use, user_agent: userAgent, last_time: lastTime };
}

function bucketUseJson({ lastTime, userAgent, ...use }: BucketUse): object {
  return { ...use, user_agent: userAgent, last_time: lastTime };
}

/** The same for people. */
export function useText({
  method,
  kind,
  collection,
  auth,
  address,
  userAgent,
  count,
  lastTime,
}: LoggedUse): string {
  const who = [auth === '' ? 'guest' : auth, address, userAgent].filter(Boolean).join(' ');
  return `  ${method} ${kind} ${collection}`.trimEnd() + ` by ${who}: ${count} times, last at ${lastTime}`;
}

function bucketUseText({ kind, requester, address, userAgent, count, lastTime }: BucketUse): string {
  const who = [requester === '' ? 'without a key' : `with the key of ${requester}`, address, userAgent];
  const note = kind === 'write' ? ' (goes on until the store takes the right from the key)' : '';
  return `  ${kind} ${who.filter(Boolean).join(' ')}: ${count} times, last at ${lastTime}${note}`;
}
