import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { clientOf, randomContent, upload } from '../test/e2e/support/calls.ts';
import { healthOf, type Service } from '../test/support/service.ts';
import type { Attack } from './variant-attack.ts';

/** Time between two health checks, in milliseconds. */
const INTERVAL_MS = 20;

/** Bytes of each upload that is measured. */
const UPLOAD_BYTES = 16 * 1024;

/**
 * Prints how long health checks and small uploads take before and while all processes decode hostile images, and the resident
 * memory of the service itself.
 */
export async function measureHealth(
  service: Service,
  { variant, callers, seconds }: Omit<Attack, 'url'> & { readonly seconds: number },
): Promise<void> {
  console.log(
    '| beside | health p50 ms | p99 | max | upload p50 ms | p99 | max | service MiB | variants |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |',
  );
  const outcomes = new Map<string, number>();
  for (const isAttacked of [false, true]) {
    const attack = isAttacked
      ? await startAttack({ url: service.url, variant, callers }, outcomes)
      : undefined;
    const { health, uploads, memory } = await measure(service, seconds);
    await attack?.terminate();
    const name = isAttacked ? `${callers} callers of hostile images` : 'nothing';
    const ended = [...outcomes].map(([outcome, count]) => `${count} ${outcome}`).join(', ');
    console.log(
      `| ${[name, ...figures(health), ...figures(uploads), memory.toFixed(0), ended].join(' | ')} |`,
    );
  }
}

async function startAttack(attack: Attack, outcomes: Map<string, number>): Promise<Worker> {
  const worker = new Worker(new URL('./variant-attack.ts', import.meta.url), { workerData: attack });
  await once(worker, 'message');
  worker.on('message', (outcome: string) => outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1));
  return worker;
}

async function measure(service: Service, seconds: number) {
  const client = clientOf(service.url);
  const health: number[] = [];
  const uploads: number[] = [];
  let memory = 0;
  const timed = async <T>(times: number[], work: Promise<T>) => {
    const started = performance.now();
    const result = await work;
    times.push(performance.now() - started);
    return result;
  };
  const until = performance.now() + seconds * 1_000;
  while (performance.now() < until) {
    const said = await timed(health, healthOf(service.url));
    if (said !== 'SERVING') throw new Error(`health is ${said}`);
    await timed(uploads, upload(client, randomContent(UPLOAD_BYTES), { file: {} }));
    memory = Math.max(memory, residentMiB(service.pid!));
    await sleep(INTERVAL_MS);
  }
  return { health, uploads, memory };
}

/** Median, 99th percentile and maximum. */
function figures(times: readonly number[]): readonly string[] {
  const sorted = times.toSorted((a, b) => a - b);
  return [0.5, 0.99, 1].map((share) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!.toFixed(1),
  );
}

function residentMiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1_024;
}
