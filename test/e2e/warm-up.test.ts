import { expect, it } from '@jest/globals';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { makeDir, removeDir } from '../support/process.ts';
import { startService } from '../support/service.ts';
import { clientOf } from './support/calls.ts';

it('warms up before it serves, leaves nothing of that, and keeps compiled code', async () => {
  const dir = await makeDir('warm-up');
  const service = await startService({
    TMPDIR: dir,
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
