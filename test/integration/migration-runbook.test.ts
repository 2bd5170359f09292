import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { withOldSystem } from '../../src/app/legacy.ts';
import { loadConfig } from '../../src/config/config.ts';
import { moveStatus } from '../../src/legacy/status.ts';
import { clientOf, download } from '../e2e/support/calls.ts';
import { readRunbook, RunbookShell, type RunbookStep } from '../support/legacy/runbook.ts';
import { startLegacySystem, type LegacySystem } from '../support/legacy/system.ts';
import { Traffic } from '../support/legacy/traffic.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';

/** Runs docs/migration.md on a legacy system at work: each step is done, undone as the page says, and done again. */
let legacy: LegacySystem;
let dir: string;
let shell: RunbookShell;
let service: Service | undefined;
let traffic: Traffic;
let steps: readonly RunbookStep[];

beforeAll(async () => {
  [legacy, dir, steps] = await Promise.all([
    startLegacySystem({ size: 96 }),
    makeDir('runbook'),
    readRunbook(),
  ]);
  const { ASSET_LEGACY_S3_BUCKET: bucket, ...env } = legacy.env;
  shell = await RunbookShell.open(dir, { ...env, OLD_BUCKET: bucket! });
  traffic = new Traffic(legacy, movable());
});
afterAll(async () => {
  await traffic?.stop();
  await service?.dispose();
  await legacy?.dispose();
  await removeDir(dir);
});

const movable = () =>
  legacy.files.filter(({ damage, hasBrokenRelation }) => damage === undefined && !hasBrokenRelation);
const damaged = () => legacy.files.filter((file) => !movable().includes(file));

/** Starts the service anew with the settings that the page has set so far. */
async function restartService(): Promise<Service> {
  await traffic.useService(undefined);
  await service?.dispose();
  const names = Object.entries(shell.env).filter(([name]) => /^(ASSET|AWS)_/.test(name));
  service = await startService(Object.fromEntries(names));
  return service;
}

const status = () => withOldSystem(loadConfig(shell.env), async ({ catalog }) => moveStatus(catalog));

/** Exit codes by command; 0 for the others. The system has damaged files, and its programs write all the time. */
const CODES: readonly (readonly [pattern: RegExp, codes: readonly number[]])[] = [
  [/asset-service config --check$/, [1]],
  [/^asset-service legacy audit/, [1]],
  [/^asset-service legacy backfill --dry-run/, [0, 1]],
  [/^asset-service legacy backfill --report/, [0, 1]],
];

/** Ids of files that somebody acknowledged; once is enough. */
const acknowledged = new Set<string>();

async function run(block: string): Promise<void> {
  const [, codes] = CODES.find(([pattern]) => pattern.test(block)) ?? [undefined, [0]];
  if (block.includes('$FILE_ID')) {
    for (const { id } of acknowledged.size > 0 ? [] : damaged()) {
      acknowledged.add(id);
      shell.set('FILE_ID', id);
      shell.set('REASON', 'known since 2019');
      await run(block.replaceAll('$FILE_ID', '${FILE_ID}'));
    }
    return;
  }
  const { code, output } = await shell.run(block);
  // Of what the page expects, these are not mistakes.
  const errors = output
    .split('\n')
    .filter((line) => /^(error: (?!The \w+Rule of)|asset-service: [A-Z_]+:)/.test(line));
  expect([block, errors]).toEqual([block, []]);
  expect([block, codes.includes(code), output]).toEqual([block, true, output]);
}

async function runAll(blocks: readonly string[]): Promise<void> {
  for (const block of blocks) await run(block);
}

const stepOf = (number: number) => {
  const step = steps.find(({ title }) => title.startsWith(`${number}. `));
  if (step === undefined) throw new Error(`the page has no step ${number}`);
  return step;
};

it('1: serves the old files in place', async () => {
  const { commands, undo } = stepOf(1);
  await runAll(commands);
  await traffic.useService((await restartService()).url);
  await runAll(undo);
  expect(Object.keys(shell.env).filter((name) => name.startsWith('ASSET_LEGACY'))).toEqual([]);
  await restartService();
  await runAll(commands);
  await traffic.useService((await restartService()).url);
});

it('2: audits them', async () => {
  const { commands, undo } = stepOf(2);
  await runAll(commands);
  expect((await status()).state).toBe('audited');
  expect(undo).toEqual([]);
  await runAll(commands);
  const lines = (await readFile(join(dir, 'audit.jsonl'), 'utf8')).trim().split('\n');
  expect(lines.length).toBeGreaterThanOrEqual(legacy.files.length);
});

it('3: moves them, moves them back, and moves them again', async () => {
  const { commands, undo } = stepOf(3);
  const before = await linksOf();
  await runAll(commands);
  expect(undo).toHaveLength(1);
  await runAll(undo);
  const after = await linksOf();
  expect([...before].filter(([id, link]) => after.get(id) !== link)).toEqual([]);
  await traffic.stopWriting();
  await runAll(commands);
  expect(await status()).toMatchObject({
    state: 'moved',
    backfill: { counts: { acknowledged: damaged().length } },
  });
}, 600_000);

it('4: verifies them', async () => {
  const { commands, undo } = stepOf(4);
  await runAll(commands);
  expect(undo).toEqual([]);
  await runAll(commands);
  expect((await status()).state).toBe('verified');
});

it('has no other step with commands', () => {
  const withCommands = steps.filter(({ commands, undo }) => commands.length + undo.length > 0);
  expect(withCommands.map(({ title }) => title.slice(0, 2))).toEqual([
    '1.',
    '2.',
    '3.',
    '4.',
    '5.',
    '6.',
    '7.',
  ]);
});

it('has cost no reader and no writer anything', async () => {
  const { reads, writes, failures } = await traffic.stop();
  expect(failures).toEqual([]);
  expect(reads).toBeGreaterThan(100);
  expect(writes).toBeGreaterThan(10);
});

it('5: locks it, unlocks it, and locks it again, while the service goes on', async () => {
  const { commands, undo } = stepOf(5);
  const rules = async () => {
    const { createRule, updateRule, deleteRule } = await legacy.admin.collections.getOne('files');
    return [createRule, updateRule, deleteRule];
  };
  const before = await rules();
  await runAll(commands);
  expect([await rules(), (await status()).state]).toEqual([[null, null, null], 'locked']);
  await runAll(undo);
  await runAll(undo);
  expect([await rules(), (await status()).state]).toEqual([before, 'verified']);
  await runAll(commands);
  await serviceReads();
});

it('6: purges the originals, and the service goes on', async () => {
  const { commands, undo } = stepOf(6);
  expect(undo).toEqual([]);
  await runAll(commands);
  expect((await status()).state).toBe('purged');
  await runAll(commands);
  await serviceReads();
});

it('7: makes a view with links, removes it, and makes it again', async () => {
  const { commands, undo } = stepOf(7);
  await runAll(commands);
  await runAll(undo);
  await expect(legacy.admin.collections.getOne('files_v1')).rejects.toThrow();
  await runAll(commands);
  const rows = await legacy.admin.collection('files_v1').getFullList();
  const byBff = movable().find(({ way }) => way === 'bff')!;
  expect(rows.find(({ id }) => id === byBff.id)!['link']).toContain(byBff.id);
});

async function serviceReads(): Promise<void> {
  const client = clientOf(service!.url);
  for (const { id, content } of movable().filter((_, index) => index % 10 === 0))
    expect((await download(client, id)).content.equals(content)).toBe(true);
}

async function linksOf(): Promise<Map<string, string>> {
  const records = await legacy.admin.collection('files').getFullList({ fields: 'id,link' });
  const known = new Set(legacy.files.map(({ id }) => id));
  return new Map(records.filter(({ id }) => known.has(id)).map(({ id, link }) => [id, String(link)]));
}
