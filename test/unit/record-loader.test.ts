import { describe, expect, it } from '@jest/globals';
import type { FileCatalog, FileRecord } from '../../src/catalog/file-catalog.ts';
import { RecordLoader } from '../../src/files/record-loader.ts';

/** Counts what is asked of it; what a catalog answers is tested with real ones. */
function counting(answer: (ids: readonly string[]) => Promise<ReadonlyMap<string, FileRecord>>) {
  const asked: (readonly string[])[] = [];
  const catalog = { get: (ids: readonly string[]) => (asked.push(ids), answer(ids)) };
  return { asked, loader: new RecordLoader(catalog as unknown as FileCatalog) };
}

const record = (id: string) => ({ id }) as FileRecord;
const found = async (ids: readonly string[]) =>
  new Map(ids.filter((id) => id !== 'none').map((id) => [id, record(id)]));
const never = new AbortController().signal;

describe('RecordLoader', () => {
  it('asks once for what is wanted at the same time', async () => {
    const { asked, loader } = counting(found);
    const got = await Promise.all(['a', 'b', 'none', 'a'].map((id) => loader.get(id, never)));
    expect(got.map((one) => one?.id)).toEqual(['a', 'b', undefined, 'a']);
    expect(asked).toEqual([['a', 'b', 'none']]);
  });

  it('asks again for what is wanted later', async () => {
    const { asked, loader } = counting(found);
    await loader.get('a', never);
    await loader.get('a', never);
    expect(asked).toHaveLength(2);
  });

  it('asks for 200 at most in one go', async () => {
    const { asked, loader } = counting(found);
    await Promise.all(Array.from({ length: 450 }, (_none, index) => loader.get(`f${index}`, never)));
    expect(asked.map((ids) => ids.length)).toEqual([200, 200, 50]);
  });

  it('fails everybody who waited, and nobody later', async () => {
    let fail = true;
    const { loader } = counting((ids) => (fail ? Promise.reject(new Error('down')) : found(ids)));
    const both = await Promise.allSettled([loader.get('a', never), loader.get('b', never)]);
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    fail = false;
    expect((await loader.get('a', never))?.id).toBe('a');
  });

  it('lets one give up and serves the others', async () => {
    const { loader } = counting(found);
    const one = new AbortController();
    const left = loader.get('a', one.signal);
    const stays = loader.get('b', never);
    one.abort(new Error('gone'));
    await expect(left).rejects.toThrow('gone');
    expect((await stays)?.id).toBe('b');
    await expect(loader.get('a', one.signal)).rejects.toThrow('gone');
  });
});
