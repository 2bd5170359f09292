import { expect } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitForHealth } from '../../support/service.ts';
import { writeRow, type Table } from '../../fault/support/report.ts';
import type { Deployment } from '../../fault/support/world.ts';
import type { Callers, TimedLedger } from './callers.ts';

/** The table of docs/reliability.md about what clusters survive. */
const TABLE: Table = {
  begin: '<!-- cluster results -->',
  end: '<!-- end of cluster results -->',
  head: 'failure | longest pause of acknowledged uploads | uploads acknowledged meanwhile | tries told UNAVAILABLE',
};

/** Lifetime of a session, in milliseconds: longer than a failover, so that uploads resume after it. */
export const SESSION_TTL_MS = 60_000;

/** How long callers go on after a failure is over, in milliseconds. */
const AFTERWARDS_MS = 2_000;

/**
 * Lets a part of a cluster fail under load. Passes if no caller was told anything but what can be retried, every
 * published client has stored a file since, all replicas are SERVING, and none has ended.
 */
export async function survive(
  failure: string,
  { deployment, ledger, callers }: { deployment: Deployment; ledger: TimedLedger; callers: Callers },
  act: () => Promise<void>,
): Promise<void> {
  const pids = deployment.replicas.map(({ service }) => service.pid);
  const before = { broken: ledger.broken.length, retried: callers.retried.length };
  const { acknowledged } = ledger.counts;
  const from = Date.now();
  ledger.counts.kills++;
  await act();
  await callers.progress();
  const pause = ledger.longestPause(from);
  await sleep(AFTERWARDS_MS);
  for (const { service } of deployment.replicas) await waitForHealth(service.url, 'SERVING', 60_000);
  const retried = callers.retried.slice(before.retried).filter((told) => told.startsWith('UNAVAILABLE'));
  const cells = [
    failure,
    `${(pause / 1000).toFixed(1)} s`,
    ledger.counts.acknowledged - acknowledged,
    retried.length,
  ];
  writeRow(TABLE, cells);
  expect(ledger.broken.slice(before.broken)).toEqual([]);
  expect(deployment.replicas.map(({ service }) => service.pid)).toEqual(pids);
}
