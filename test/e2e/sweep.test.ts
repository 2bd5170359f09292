import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { openPostgresCatalog } from '../../src/catalog/sql/postgres.ts';
import type { FileCatalog } from '../../src/catalog/file-catalog.ts';
import { newId } from '../conformance/file-catalog/subject.ts';
import { ROOT } from '../support/install.ts';
import { startService, type Service } from '../support/service.ts';
import { eventually } from '../support/eventually.ts';
import { POSTGRES, type Setup } from './support/setups.ts';
import { programEnv } from '../support/process.ts';

const RATE = 20;
const INTERVAL_MS = 300;
/** How long nobody may sweep after the one that did was killed. */
const LEASE_MS = INTERVAL_MS + 3_000;

interface Span {
  readonly service: number;
  readonly from: number;
  readonly to: number;
}

describe('the sweepers of several processes', () => {
  let setup: Setup;
  let catalog: FileCatalog;
  let env: Record<string, string>;

  beforeAll(async () => {
    setup = await POSTGRES.open();
    catalog = openPostgresCatalog({ url: setup.env['ASSET_POSTGRES_URL']! });
    await catalog.migrate();
    env = { ...setup.env, ASSET_SWEEP_RATE: String(RATE) };
  });

  afterAll(async () => {
    await catalog?.close();
    await setup?.dispose();
  });

  /** Leaves work for so many seconds: ids that nothing came of. */
  async function leaveWork(seconds: number): Promise<void> {
    await catalog.uploads.reserve(Array.from({ length: seconds * RATE }, newId), new Date(1_000));
  }

  it('sweep one at a time, at the pace that was set, and take over from one that was killed', async () => {
    await leaveWork(6);
    const sweeping = { ...env, ASSET_SWEEP_INTERVAL: String(INTERVAL_MS / 1_000), ASSET_LOG_LEVEL: 'debug' };
    const services = await Promise.all([startService(sweeping), startService(sweeping)]);
    try {
      const long = await eventually(() => {
        const found = spans(services).find(({ from, to }) => to < Infinity && to > from + 1_000);
        expect(found).toBeDefined();
        return found!;
      });
      // Longer than the lease lasts that is not prolonged.
      expect(long.to - long.from).toBeGreaterThan(5_500);

      await leaveWork(30);
      const victim = await eventually(() => {
        const found = spans(services).find(({ from, to }) => to === Infinity && Date.now() > from + 1_000);
        expect(found).toBeDefined();
        return found!;
      });
      services[victim.service]!.signal('SIGKILL');
      const killed = Date.now();
      const next = await eventually(() => {
        const found = spans(services).find(({ from }) => from > killed);
        expect(found).toBeDefined();
        return found!;
      });
      expect(next.service).toBe(1 - victim.service);
      // The last that the victim did for its lease may be a third of its time ago.
      expect(next.from - killed).toBeGreaterThan(LEASE_MS / 2);

      const all = spans(services)
        .map((span) => (span.from === victim.from ? { ...span, to: killed } : span))
        .sort((a, b) => a.from - b.from);
      expect(new Set(all.map(({ service }) => service)).size).toBe(2);
      const overlaps = all.filter((span, i) => i > 0 && span.from < all[i - 1]!.to);
      expect(overlaps).toEqual([]);
    } finally {
      for (const service of services) await service.dispose();
    }
  }, 150_000);

  it('sweep when told to, say before what they would do, and leave it while another sweeps', async () => {
    await empty();
    await leaveWork(1);
    const said = (mood: string) =>
      [
        `deleted files whose retention is over: 0 ${mood}purged`,
        `uploads that were given up or expired: 0 ${mood}removed`,
        `reservations that are over: 1 ${mood}removed, with ${RATE} ids that are no file`,
        `changes whose retention is over: 0 ${mood}removed from the log`,
      ].join('\n');
    expect(await cli('sweep', '--dry-run')).toEqual({ code: 0, output: said('would be ') });
    expect(await cli('sweep', '--dry-run')).toEqual({ code: 0, output: said('would be ') });
    expect(await catalog.acquireLease('sweep', 'somebody', new Date(Date.now() + 60_000))).toBe(true);
    expect(await cli('sweep')).toEqual({
      code: 1,
      output: 'asset-service: another process is sweeping; nothing was done',
    });
    await catalog.releaseLease('sweep', 'somebody');
    expect(await cli('sweep')).toEqual({ code: 0, output: said('') });
    expect((await cli('sweep', '--dry-run')).output).toContain('with 0 ids');
  }, 120_000);

  /** Forgets whatever is left to sweep. */
  async function empty(): Promise<void> {
    for (const { id } of await catalog.uploads.takeClosed(new Date(), 1_000))
      await catalog.uploads.forget({ kind: 'reservation', id: id });
  }

  function cli(...args: string[]): Promise<{ code: number; output: string }> {
    return new Promise((resolve) => {
      const options = { env: { ...programEnv(), ...env }, timeout: 120_000 };
      const all = [join(ROOT, 'src', 'main.ts'), ...args];
      execFile(process.execPath, all, options, (error, stdout, stderr) => {
        resolve({ code: error ? Number(error.code ?? 1) : 0, output: (stdout + stderr).trim() });
      });
    });
  }
});

/** When each service swept, by what they logged; `to` is Infinity while it does. */
function spans(services: readonly Service[]): Span[] {
  return services.flatMap((service, index) => {
    const found: Span[] = [];
    let from: number | undefined;
    for (const { msg, time } of service.logLines()) {
      if (msg === 'sweeping') from = Date.parse(String(time));
      if (msg === 'the sweep is over' && from !== undefined) {
        found.push({ service: index, from, to: Date.parse(String(time)) });
        from = undefined;
      }
    }
    return from === undefined ? found : [...found, { service: index, from, to: Infinity }];
  });
}
