import { describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from '../support/install.ts';

const exec = promisify(execFile);

const PAGE = join(ROOT, 'bench', 'results.md');

/** The rows of the tables in what the bench printed, by their first cell. */
function rowsOf(printed: string): Map<string, string[]> {
  const lines = printed.split('\n').filter((line) => line.startsWith('| '));
  return new Map(
    lines.map((line) => {
      const [name = '', ...cells] = line.slice(2, -2).split(' | ');
      return [name, cells];
    }),
  );
}

async function bench(...args: string[]): Promise<string> {
  const { stdout } = await exec(process.execPath, [join(ROOT, 'bench', 'main.ts'), '--quick', ...args], {
    timeout: 150_000,
  });
  return stdout;
}

describe('the bench', () => {
  it('measures every contestant of every case, and leaves the page alone', async () => {
    const page = await readFile(PAGE, 'utf8');
    const printed = await bench();

    for (const title of [
      'One file of 1 GiB',
      '16 files',
      '2,000 files',
      'One file of 256 MiB',
      'GetFileUrl,',
      'BatchGetFileUrls,',
    ]) {
      expect(printed).toContain(`### ${title}`);
    }
    const rows = rowsOf(printed);
    for (const name of [
      'Asset Service, lean gRPC client',
      'Asset Service, worker client',
      'Asset Service, two processes on one port',
      'Asset Service, Connect over HTTP/1.1',
      'GetFileUrl',
      'Empty unary call (grpc.health.v1 Check)',
      'BatchGetFileUrls',
    ]) {
      const [speed, ratio, serverCpu, , , allCpu, , peak] = (rows.get(name) ?? []).map(Number);
      for (const figure of [speed, ratio, serverCpu, allCpu]) expect(figure).toBeGreaterThan(0);
      expect(peak).toBeGreaterThan(50);
    }
    for (const name of [
      '@aws-sdk/lib-storage, straight into the store',
      'PutObject, then a PocketBase record',
      'PocketBase form upload into S3',
      '@tus/server, S3 store',
    ]) {
      expect(Number(rows.get(name)?.[0])).toBeGreaterThan(0);
    }
    expect(printed).toContain('Skipped: tusd');
    expect(await readFile(PAGE, 'utf8')).toBe(page);
  }, 300_000);

  it('tells where the CPU time of the service goes', async () => {
    const rows = rowsOf(await bench('--profile', '--only=large'));
    // A short run has few samples: rooms of little work may have none.
    const own = [...rows.keys()].find((name) => name.startsWith('Asset Service: '));
    const [share, seconds] = rows.get(own ?? '') ?? [];
    expect(share).toMatch(/^\d+ %$/);
    expect(Number(seconds)).toBeGreaterThan(0);
    expect([...rows.keys()].some((name) => name.startsWith('update node:internal/crypto/hash'))).toBe(true);
  }, 240_000);
});
