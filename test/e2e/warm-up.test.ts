import { expect, it } from '@jest/globals';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { scrape, sumOf } from '../support/metrics.ts';
import { freePort } from '../support/ports.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { startService } from '../support/service.ts';
import { clientOf } from './support/calls.ts';

it('warms up before it serves, leaves nothing of that, and keeps compiled code', async () => {
  const dir = await makeDir('warm-up');
  const metricsPort = await freePort();
  const service = await startService({
    TMPDIR: dir,
    ASSET_METRICS_LISTEN: `127.0.0.1:${metricsPort}`,
    NODE_COMPILE_CACHE: '',
    ASSET_COMPILE_CACHE: join(dir, 'compiled'),
    ASSET_WARM_UP: '0.3',
    ASSET_LOG_LEVEL: 'debug',
    ASSET_AUDIT_LOG: 'stdout',
  });
  try {
    const lines = service.logLines();
    const at = lines.findIndex(({ msg }) => msg === 'warmed up');
    expect(lines[at]?.['calls']).toBeGreaterThan(1);
    expect(lines.findIndex(({ msg }) => msg === 'listening')).toBeGreaterThan(at);
    // Its own store and catalog are asked for what is not there, which neither metrics nor the log show: as soon as the
    // catalog has its tables, so of this one at the second start.
    await service.restart();
    const again = service.logLines().slice(lines.length);
    const drivers = again.find(({ msg }) => msg === 'warmed up drivers');
    expect(drivers?.['answered']).toBeGreaterThan(0);
    expect(drivers).not.toHaveProperty('err');
    const seen = again.filter(({ msg }) => msg === 'driver call').map(({ operation }) => operation);
    for (const operation of ['catalog.get', 'catalog.list', 'store.stat', 'store.signUrl'])
      expect(seen).not.toContain(operation);
    const metrics = await scrape(metricsPort);
    for (const label of ['operation="get"', 'operation="list"'])
      expect(sumOf(metrics, 'asset_catalog_call_duration_seconds', '_count', label)).toBe(0);
    for (const label of ['operation="stat"', 'operation="signUrl"'])
      expect(sumOf(metrics, 'asset_store_call_duration_seconds', '_count', label)).toBe(0);
    // Its calls are not those of callers.
    const calls = lines.filter(({ msg, rpc }) => msg === 'call' && rpc !== 'Check');
    expect(calls).toEqual([]);
    expect(service.auditLines()).toEqual([]);
    expect((await clientOf(service.url).listFiles({})).files).toEqual([]);
    expect(await readdir(dir)).toEqual(['compiled']);
    expect((await readdir(join(dir, 'compiled'), { recursive: true })).length).toBeGreaterThan(10);
  } finally {
    await service.dispose();
    await removeDir(dir);
  }
});
