import { expect } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { clientOf, download, randomContent, upload } from '../../e2e/support/calls.ts';
import { healthOf, type Service } from '../../support/service.ts';

/**
 * Maximum time that another caller may wait during an attack, in milliseconds; large, because a slow machine is
 * busy.
 */
const PATIENCE_MS = 20_000;

/**
 * Runs an attack while another caller uploads and reads on its own connection. All its calls must succeed before,
 * during and after the attack.
 */
export async function whileOthersWork<T>(service: Service, attack: () => Promise<T>): Promise<T> {
  const client = clientOf(service.url);
  const content = randomContent(2_000);
  const options = { timeoutMs: PATIENCE_MS };
  const first = await upload(client, content, options);
  let over = false;
  let done = 0;
  const working = (async () => {
    do {
      const file = await upload(client, content, options);
      expect((await client.getFile({ fileId: file.id }, options)).file).toEqual(file);
      done += 1;
      await sleep(20);
    } while (!over);
  })();
  // A failed attack must not leave this promise unhandled.
  working.catch(() => undefined);
  try {
    return await attack();
  } finally {
    over = true;
    await working;
    expect(done).toBeGreaterThan(0);
    expect((await download(client, first.id)).content.equals(content)).toBe(true);
    expect(await healthOf(service.url)).toBe('SERVING');
  }
}

/** Resident memory of the service, in MiB. */
export function residentMiB(service: Service): number {
  const status = readFileSync(`/proc/${service.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) / 1024;
}

/** Waits until `condition` holds. */
export async function until(condition: () => boolean, what: string, timeoutMs = 30_000): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await sleep(20);
  }
}
