import { describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { BlobPart } from '../../src/storage/blob.ts';
import { FilesystemBlobStore } from '../../src/storage/filesystem/filesystem-store.ts';
import { SignedUrls } from '../../src/storage/signed-url.ts';
import { ROOT } from '../support/install.ts';
import { makeDir, removeDir } from '../support/process.ts';

const PART = 4 * 1024 * 1024;
const KEY = 'assets/0a/crash';
const TYPE = { contentType: 'text/plain' };
const urls = new SignedUrls('http://assets.example', Buffer.alloc(32, 1));

/**
 * What the process that gets killed does, after the name of its directory: begins a multipart blob, stores parts 1
 * and 2, and then sends without end what `argv` says. It prints the id, and a dot for every chunk.
 */
const VICTIM = `
  import { writeSync } from 'node:fs';
  const [dir, what] = process.argv.slice(2);
  const root = ${JSON.stringify(pathToFileURL(join(ROOT, 'src', 'storage')).href)};
  const { FilesystemBlobStore } = await import(root + '/filesystem/filesystem-store.ts');
  const { SignedUrls } = await import(root + '/signed-url.ts');
  const store = new FilesystemBlobStore(dir, new SignedUrls('http://assets.example', Buffer.alloc(32, 1)));
  const body = (fill, size) => ({ sizeBytes: size, chunks: [Buffer.alloc(size, fill)] });
  const id = await store.startMultipart('${KEY}', { contentType: 'text/plain', partSizeBytes: ${PART} });
  await store.putPart('${KEY}', id, 1, body(1, ${PART}));
  await store.putPart('${KEY}', id, 2, body(2, ${PART}));
  writeSync(1, id + '\\n');
  async function* endless() {
    for (;;) {
      yield Buffer.alloc(1000, 9);
      writeSync(1, '.');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
  const chunks = () => ({ sizeBytes: ${PART}, chunks: endless() });
  if (what === 'new part') await store.putPart('${KEY}', id, 3, chunks());
  if (what === 'old part') await store.putPart('${KEY}', id, 1, chunks());
  if (what.startsWith('filesystem.')) {
    const { channel } = await import('node:diagnostics_channel');
    channel('asset-service:' + what).subscribe(() => process.kill(process.pid, 'SIGKILL'));
    await store.completeMultipart('${KEY}', id, await store.listParts('${KEY}', id));
  }
  if (what === 'whole blob') await store.put('${KEY}', chunks(), { contentType: 'text/plain' });
  for (let fill = 10; ; fill++) {
    await store.putPart('${KEY}', id, 1, body(fill, ${PART}));
    writeSync(1, '.');
  }
`;

/** Runs the victim and kills it after so many dots and a while; returns the id of its multipart blob. */
async function runAndKill(dir: string, what: string, dots: number, afterMs: number): Promise<string> {
  const script = join(dir, 'victim.mjs');
  await writeFile(script, VICTIM);
  const child = spawn(process.execPath, [script, join(dir, 'store'), what], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  let output = '';
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (data: Buffer) => {
      output += data.toString();
      if ((output.split('\n')[1]?.length ?? -1) >= dots) resolve();
    });
    child.once('close', () => reject(new Error('the process ended by itself')));
  });
  await new Promise((resolve) => setTimeout(resolve, afterMs));
  // One that is killed at a point kills itself.
  if (!what.startsWith('filesystem.')) child.kill('SIGKILL');
  expect(await exited).toEqual([null, 'SIGKILL']);
  return output.split('\n')[0]!;
}

describe('filesystem store whose process is killed', () => {
  const filled = (part: BlobPart | undefined, data: Buffer) => {
    expect(part?.sizeBytes).toBe(PART);
    expect(new Set(data).size).toBe(1);
    return data[0];
  };

  async function survivors(what: string, dots: number, afterMs = 0) {
    const dir = await makeDir('crash-run');
    const id = await runAndKill(dir, what, dots, afterMs);
    const store = new FilesystemBlobStore(join(dir, 'store'), urls);
    expect(await store.stat(KEY)).toBeUndefined();
    return { dir, id, store, parts: await store.listParts(KEY, id) };
  }

  it('in the middle of a new part: knows the parts that were whole, and goes on', async () => {
    const { dir, id, store, parts } = await survivors('new part', 20);
    expect(parts.map(({ partNumber, sizeBytes }) => [partNumber, sizeBytes])).toEqual([
      [1, PART],
      [2, PART],
    ]);
    const third = await store.putPart(KEY, id, 3, { sizeBytes: 10, chunks: [Buffer.alloc(10, 3)] });
    expect(await store.completeMultipart(KEY, id, [...parts, third])).toBe('created');
    const data = Buffer.concat((await (await store.read(KEY)).toArray()) as Buffer[]);
    expect(
      data.equals(Buffer.concat([Buffer.alloc(PART, 1), Buffer.alloc(PART, 2), Buffer.alloc(10, 3)])),
    ).toBe(true);
    await removeDir(dir);
  });

  it('in the middle of a part that is sent again: keeps the old one', async () => {
    const { dir, id, store, parts } = await survivors('old part', 20);
    expect(parts.map(({ partNumber }) => partNumber)).toEqual([1, 2]);
    expect(await store.completeMultipart(KEY, id, parts)).toBe('created');
    const data = Buffer.concat((await (await store.read(KEY)).toArray()) as Buffer[]);
    expect(filled(parts[0], data.subarray(0, PART))).toBe(1);
    await removeDir(dir);
  });

  it('at any moment of parts that are replaced: has the old, the new or none, and never a mixture', async () => {
    for (const afterMs of [0, 2, 4, 7, 11, 16, 22]) {
      const { dir, id, store, parts } = await survivors('replace', 2, afterMs);
      const [first, ...rest] = parts;
      if (first?.partNumber === 1) {
        expect(await store.completeMultipart(KEY, id, parts)).toBe('created');
        const data = Buffer.concat((await (await store.read(KEY)).toArray()) as Buffer[]);
        expect(filled(first, data.subarray(0, PART))).toBeGreaterThanOrEqual(10);
        expect(filled(rest[0], data.subarray(PART))).toBe(2);
      } else {
        expect(parts.map(({ partNumber }) => partNumber)).toEqual([2]);
      }
      await removeDir(dir);
    }
  });

  const late = () => ({ sizeBytes: PART, chunks: [Buffer.alloc(PART, 7)] });
  const whole = Buffer.concat([Buffer.alloc(PART, 1), Buffer.alloc(PART, 2)]);
  const content = async (store: FilesystemBlobStore) =>
    Buffer.concat((await (await store.read(KEY)).toArray()) as Buffer[]);

  it('once the blob has its name: takes no part of it any more', async () => {
    const dir = await makeDir('crash-run');
    const id = await runAndKill(dir, 'filesystem.published', 0, 0);
    const store = new FilesystemBlobStore(join(dir, 'store'), urls);
    expect((await content(store)).equals(whole)).toBe(true);
    for (const partNumber of [1, 3]) {
      await expect(store.putPart(KEY, id, partNumber, late())).rejects.toMatchObject({
        reason: 'UPLOAD_EXPIRED',
      });
    }
    expect((await content(store)).equals(whole)).toBe(true);
    expect(await store.completeMultipart(KEY, id, await store.listParts(KEY, id))).toBe('exists');
    await store.abortMultiparts(KEY);
    expect(await readdir(join(dir, 'store', 'unfinished'))).toEqual([]);
    expect((await content(store)).equals(whole)).toBe(true);
    await removeDir(dir);
  });

  it('before the blob has its name: takes no part any more, loses none, and is completed later', async () => {
    const { dir, id, store, parts } = await survivors('filesystem.sealed', 0);
    for (const partNumber of [1, 3]) {
      await expect(store.putPart(KEY, id, partNumber, late())).rejects.toMatchObject({
        reason: 'UPLOAD_EXPIRED',
      });
    }
    expect(await store.listParts(KEY, id)).toEqual(parts);
    expect(await store.completeMultipart(KEY, id, parts)).toBe('created');
    expect((await content(store)).equals(whole)).toBe(true);
    await removeDir(dir);
  });

  it('in the middle of a whole blob: shows nothing, and can drop what is left', async () => {
    const { dir, id, store } = await survivors('whole blob', 20);
    await store.abortMultiparts(KEY);
    await expect(store.listParts(KEY, id)).rejects.toMatchObject({ reason: 'UPLOAD_EXPIRED' });
    const body = { sizeBytes: 5, chunks: [Buffer.from('whole')] };
    expect(await store.put(KEY, body, TYPE)).toBe('created');
    await removeDir(dir);
  });
});
