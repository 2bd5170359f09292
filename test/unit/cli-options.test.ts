import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { program } from '../../src/cli/program.ts';

describe('options of the commands of operators', () => {
  let output = '';
  let dir = '';

  beforeEach(async () => {
    output = '';
    dir = await mkdtemp(join(tmpdir(), 'asset-options-'));
    process.env['ASSET_DATA_DIR'] = dir;
    for (const stream of [process.stdout, process.stderr]) {
      jest.spyOn(stream, 'write').mockImplementation((text) => {
        output += String(text);
        return true;
      });
    }
  });

  afterEach(async () => {
    jest.restoreAllMocks();
    process.exitCode = undefined;
    delete process.env['ASSET_DATA_DIR'];
    await rm(dir, { recursive: true, force: true });
  });

  const STEPS = [
    ...['audit', 'backfill', 'lock', 'unlock', 'status', 'purge'].map((step) => ['legacy', step]),
    ...['start', 'status', 'verify', 'switch', 'reverse', 'complete', 'cancel'].flatMap((step) => [
      ['catalog', 'move', step],
      ['store', 'move', step],
    ]),
    ...[['store', 'move', 'retire'], ['verify'], ['backup'], ['restore']],
  ];

  it.each(STEPS.map((step) => [step.join(' '), step]))('%s takes --json and --yes', async (_name, step) => {
    expect(await program([...step, '--help'])).toBe(0);
    expect(output).toMatch(/^ +--json /m);
    expect(output).toMatch(/^ +--yes /m);
  });

  it.each([
    ...['legacy audit', 'legacy backfill', 'legacy purge', 'verify', 'catalog move start'],
    ...['catalog move verify', 'store move start', 'store move verify', 'store move retire'],
  ])('%s takes --rate', async (step) => {
    expect(await program([...step.split(' '), '--help'])).toBe(0);
    expect(output).toMatch(/^ +--rate /m);
  });

  it.each([
    ['--rate', '0'],
    ['--byte-rate', '0'],
    ['--since', '2026-11-29'],
    ['--since', '2024-02-29T08:00Z'],
    ['--since', '2026-11-29T08:00:00.5+02:00'],
    ['--sample', '0.5'],
  ])('verify takes %s %s', async (...flags) => {
    // The embedded catalog of an empty directory is missing, which is found after the options were read.
    expect([output, await program(['verify', ...flags])]).toEqual(['', 1]);
    expect(output).toMatch(/catalog.sqlite: there is nothing/);
  });

  it.each([
    ...['2026-02-30', '2025-02-29T08:00Z', '2026-04-31T00:00Z', '2026-13-01', '2026-11-29T25:00Z'],
    ...['29 Nov 2026', '11/29/2026', '2026', '1700000000', '1h', 'yesterday', ''],
  ])('verify refuses --since %j', async (since) => {
    expect(await program(['verify', '--since', since])).toBe(2);
    expect(output).toMatch(/must be a time such as/);
  });

  it.each(['0', '101', '-1', '50%', '0x10', '1e1', 'NaN', 'Infinity', ''])(
    'verify refuses --sample %j',
    async (sample) => {
      expect(await program(['verify', '--sample', sample])).toBe(2);
      expect(output).toMatch(/must be a number above 0 and up to 100/);
    },
  );
});
