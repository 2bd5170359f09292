import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { lock } from '../../src/legacy/lock.ts';
import { createView, dropLink, dropView, restoreLink, viewStatus } from '../../src/legacy/views.ts';
import { eventually } from '../support/eventually.ts';
import { killCommandAt } from '../support/legacy/killed-command.ts';
import { moveAll, type MovedSystem } from '../support/legacy/moved.ts';
import { startLegacySystem, type LegacySystem } from '../support/legacy/system.ts';
import { makeDir, removeDir } from '../support/process.ts';

const signal = new AbortController().signal;
const holder = { holder: 'test' };
const PREFIX = 'https://bff.example/files/';

let legacy: LegacySystem;
let moved: MovedSystem;
let dir: string;

beforeAll(async () => {
  [legacy, dir] = await Promise.all([startLegacySystem({ size: 6 }), makeDir('views')]);
  moved = await moveAll(legacy);
});
afterAll(async () => {
  await legacy?.dispose();
  await removeDir(dir);
});

const create = (prefix = PREFIX) =>
  moved.within((system) => createView(system, { ...holder, by: 'me@here', prefix }, signal));
const drop = () => moved.within((system) => dropLink(system, holder, signal));
const rows = (name: string) => legacy.admin.collection(name).getFullList({ sort: 'id' });
const links = async () =>
  new Map((await rows('files_v1')).map(({ id, ...row }) => [id, String(row['link'])]));

it('has the rows of the collection with rebuilt links, and shows them to the same callers', async () => {
  await expect(drop()).rejects.toMatchObject({ reason: 'NO_VIEW' });
  expect(await create()).toBe('files_v1');
  const strip = ({ link: _, collectionId: __, collectionName: ___, ...row }: Record<string, unknown>) => row;
  const [own, shown] = [await rows('files'), await rows('files_v1')];
  // All but what PocketBase hides from everybody.
  expect(own).toMatchObject(shown.map(strip));
  const names = [
    'title',
    'mime',
    'size',
    'user',
    'usage',
    'project',
    'secure_name',
    'file',
    'created',
    'updated',
  ];
  expect(Object.keys(shown[0]!)).toEqual(expect.arrayContaining(names));
  const found = await links();
  for (const { id, way, key, damage, hasBrokenRelation } of legacy.files) {
    if (damage !== undefined || hasBrokenRelation) continue;
    const link = found.get(id)!;
    if (way === 'pocketbase') expect(link).toBe('');
    else expect(decodeURIComponent(new URL(link).pathname)).toBe(`/files/${key}`);
  }
  // Links that were never rebuilt are those of the records.
  const kept = own.filter((row) => row['link'] !== '');
  expect(kept.length).toBeGreaterThan(0);
  for (const row of kept) expect(found.get(row.id)).toBe(row['link']);
  const [files, view] = await Promise.all(
    ['files', 'files_v1'].map((name) => legacy.admin.collections.getOne(name)),
  );
  expect([view!.listRule, view!.viewRule]).toEqual([files!.listRule, files!.viewRule]);
  const asGuest = await fetch(`${legacy.pocketbase.url}/api/collections/files_v1/records`);
  expect(((await asGuest.json()) as { items?: unknown[] }).items ?? []).toEqual([]);
});

it('lets the link field be dropped and brought back, with the same links all the time', async () => {
  await expect(drop()).rejects.toMatchObject({ reason: 'NOT_LOCKED' });
  await moved.within((system) => lock(system, { ...holder, by: 'me@here', maxAgeMs: 864e5 }, signal));
  await expect(drop()).rejects.toMatchObject({
    reason: 'IN_USE',
    message: expect.stringMatching('files_with_links'),
  });
  const viewQuery = 'select f.id, f.title, f.secure_name, f.link, f.file from files_v1 f';
  await legacy.admin.collections.update('files_with_links', { viewQuery });
  const before = await links();
  const collection = await legacy.admin.collections.getOne('files');
  const own = (await rows('files')).map(({ id, ...row }) => [id, row['link']]);
  const killed = (point: string) =>
    killCommandAt(legacy, { dir, env: legacy.env, point }, ['views', 'drop-link', '--yes']);
  await killed('views.link-journaled');
  expect(await links()).toEqual(before);
  expect(await legacy.admin.collections.getOne('files')).toEqual(collection);
  await killed('views.link-removed');
  expect(await links()).toEqual(before);
  const { kept } = await drop();
  expect(kept).toBe(own.filter(([, link]) => link !== '').length);
  expect((await legacy.admin.collections.getOne('files')).fields.map(({ name }) => name)).not.toContain(
    'link',
  );
  expect(await links()).toEqual(before);
  expect(await drop()).toEqual({ kept });
  const refused = await moved.within((system) => restoreLink(system, holder, signal));
  // A record with a broken relation takes no change: its link stays in the view.
  expect(refused).toEqual([legacy.file('broken-relation').id]);
  const restored = await legacy.admin.collections.getOne('files');
  expect(restored.fields.map(({ name }) => name)).toEqual(collection.fields.map(({ name }) => name));
  const now = new Map((await rows('files')).map(({ id, ...row }) => [id, row['link']]));
  for (const [id, link] of own) if (!refused.includes(String(id))) expect(now.get(String(id))).toBe(link);
  expect(await links()).toEqual(before);
});

it('is removed only after nobody read it for the stated time', async () => {
  const remove = (quietDays: number) =>
    moved.within((system) => dropView(system, { ...holder, quietDays }, signal));
  await rows('files_v1');
  await eventually(async () => {
    const status = await moved.within((system) => viewStatus(system, new Date(0), signal));
    expect(status.readers).toContainEqual(expect.objectContaining({ collection: 'files_v1', method: 'GET' }));
    await expect(remove(1)).rejects.toMatchObject({
      message: expect.stringMatching(/STILL_READ.*is still read/),
    });
  });
  await expect(remove(30)).rejects.toMatchObject({ reason: 'STILL_READ' });
  const logs = await legacy.admin.settings.getAll();
  expect(logs['logs']).toMatchObject({ maxDays: 5 });
  await expect(remove(0)).rejects.toMatchObject({ reason: 'IN_USE' });
  await legacy.admin.collections.update('files_with_links', { viewQuery: 'select f.id from files f' });
  expect(await remove(0)).toBe(true);
  expect(await remove(0)).toBe(false);
});
