import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { clientOf, randomContent, upload } from '../e2e/support/calls.ts';
import { POCKETBASE, type Setup } from '../e2e/support/setups.ts';
import { ROOT } from '../support/install.ts';
import { RunbookShell } from '../support/legacy/runbook.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';
import { createDatabase } from '../support/shared-servers.ts';

/** Runs the commands for the catalog in docs/moving.md, as the page has them, beside a replica. */
let dir: string;
let setup: Setup;
let shell: RunbookShell;
let service: Service | undefined;

beforeAll(async () => {
  [dir, setup] = [await makeDir('moving-runbook'), await POCKETBASE.open()];
  shell = await RunbookShell.open(dir, { ...setup.env, ASSET_AUDIT_LOG: 'off' });
});

afterAll(async () => {
  await service?.dispose();
  await setup?.dispose();
  await removeDir(dir);
});

/** Blocks of shell commands by the number of their step. */
async function steps(): Promise<readonly (readonly string[])[]> {
  const page = await readFile(join(ROOT, 'docs', 'moving.md'), 'utf8');
  const [catalog] = page.split(/^# Moving the store/m);
  const sections = catalog!.split(/^### \d+\. /m).slice(1);
  return sections.map((section) => [...section.matchAll(/^```sh\n(.*?)^```/gms)].map(([, block]) => block!));
}

async function restart(): Promise<void> {
  await service?.dispose();
  const own = Object.entries(shell.env).filter(([name]) => /^(ASSET|AWS)_/.test(name));
  service = await startService(Object.fromEntries(own));
}

it('is done by the commands of docs/moving.md', async () => {
  const database = await createDatabase();
  const [name, copy, compare, turn, complete] = await steps();
  const run = async (block: string) => {
    const ended = await shell.run(block.replace(/postgres:\/\/files@\S+/, database));
    expect([block, ended.code, ended.output]).toEqual([block, 0, expect.any(String)]);
    return ended.output;
  };
  await restart();
  const first = await upload(clientOf(service!.url), randomContent(100));
  await run(name![0]!);
  await restart();
  expect(await run('asset-service catalog move status')).toMatch(/replica [a-z0-9]{15}: ready/);
  await run(copy![0]!);
  const second = await upload(clientOf(service!.url), randomContent(100));
  await run(compare![0]!);
  expect(await run(turn![0]!)).toContain('postgres serves');
  await run('asset-service catalog move reverse --yes');
  await run(turn![0]!);
  await run(complete![0]!);
  await run(complete![1]!);
  expect(shell.env['ASSET_CATALOG']).toBe('postgres');
  await restart();
  for (const { id } of [first, second]) {
    expect((await clientOf(service!.url).getFile({ fileId: id })).file?.id).toBe(id);
  }
});
