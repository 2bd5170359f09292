import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createHash, randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';
import { crc32c } from '../../src/files/upload/crc32c.ts';
import { readBytes } from '../../src/files/bytes.ts';
import { summed, type Chunk } from '../../src/files/upload/checksums.ts';
import type { ContentEnd } from '../../src/files/upload/inflow.ts';
import { completeUpload, getUpload, resumeUpload } from '../../src/files/upload/resume.ts';
import { startUpload } from '../../src/files/upload/start.ts';
import { ANONYMOUS } from '../../src/identity/caller.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { openFilesContext } from './files-context.ts';

/** The most bytes that the state of a session may have, whatever was sent. */
const STATE_BYTES = 4096;

describe('the state of a session', () => {
  let dir: string;
  let context: Awaited<ReturnType<typeof openFilesContext>>;
  const signal = new AbortController().signal;

  /** Files of the store, whose sync to the disk would take most of the time of 10,000 parts. */
  let handles: { sync: () => Promise<void> };
  let sync: () => Promise<void>;

  beforeEach(async () => {
    dir = await makeDir('session-bounds');
    const file = await open(dir);
    handles = Object.getPrototypeOf(file) as typeof handles;
    await file.close();
    ({ sync } = handles);
    handles.sync = () => Promise.resolve();
  });

  afterEach(async () => {
    handles.sync = sync;
    await context.close();
    await removeDir(dir);
  });

  async function start(partSizeBytes: number): Promise<string> {
    context = await openFilesContext(dir, partSizeBytes);
    const description = {
      ...{ name: 'a.bin', contentType: '', owner: '', usage: '', relations: {}, attributes: {} },
    };
    const spec = { description, sizeBytes: undefined, requestId: '', direct: false };
    return (await startUpload(context, ANONYMOUS, spec, signal)).uploadId;
  }

  async function append(uploadId: string, writeOffset: number, chunks: Iterable<Uint8Array>, fault?: Error) {
    async function* content(): AsyncGenerator<Chunk, ContentEnd, undefined> {
      for (const bytes of chunks) yield summed(bytes);
      if (fault) throw fault;
      return { expected: {}, isComplete: false };
    }
    return resumeUpload(context, ANONYMOUS, uploadId, { writeOffset, content: content() }, signal);
  }

  async function stateBytes(uploadId: string): Promise<number> {
    return JSON.stringify((await context.catalog.uploads.get(uploadId))!.state).length;
  }

  async function expectFile(uploadId: string, content: Buffer): Promise<void> {
    const checksums = { sha256: createHash('sha256').update(content).digest(), crc32c: crc32c(content) };
    const { file } = await completeUpload(context, ANONYMOUS, uploadId, checksums, signal);
    expect(file).toMatchObject({ id: uploadId, sizeBytes: content.length, crc32c: checksums.crc32c });
    const stored = Buffer.concat(await (await readBytes(context.store, uploadId, { signal })).toArray());
    expect(stored.equals(content)).toBe(true);
  }

  function* slices(content: Buffer, from: number, to: number, size: number) {
    for (let at = from; at < to; at += size) yield content.subarray(at, Math.min(to, at + size));
  }

  it('stays small with 10,000 parts, over a break in the middle', async () => {
    const partSizeBytes = 1_000;
    const content = randomBytes(10_000 * partSizeBytes - 300);
    const uploadId = await start(partSizeBytes);
    const middle = 5_000 * partSizeBytes + 123;
    const gone = new Error('the caller is gone');
    const broken = append(uploadId, 0, slices(content, 0, middle, 50_000), gone);
    await expect(broken).rejects.toBe(gone);
    expect(await getUpload(context, ANONYMOUS, uploadId, signal)).toMatchObject({ persistedSize: middle });
    expect(await stateBytes(uploadId)).toBeLessThan(STATE_BYTES);
    const rest = slices(content, middle, content.length, 50_000);
    expect(await append(uploadId, middle, rest)).toEqual({ persistedSize: content.length });
    expect(await stateBytes(uploadId)).toBeLessThan(STATE_BYTES);
    await expectFile(uploadId, content);
  });

  it('stays small with hundreds of calls of a few bytes', async () => {
    const content = randomBytes(3_000);
    const uploadId = await start(1_000_000);
    let most = 0;
    for (let at = 0; at < content.length; at += 10) {
      await append(uploadId, at, [content.subarray(at, at + 10)]);
      most = Math.max(most, await stateBytes(uploadId));
    }
    expect(most).toBeLessThan(STATE_BYTES);
    await expectFile(uploadId, content);
  });
});
