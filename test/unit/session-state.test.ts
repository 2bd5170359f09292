import { describe, expect, it } from '@jest/globals';
import type { JsonValue } from '../../src/catalog/file-catalog.ts';
import {
  NO_PARTS,
  persistedSize,
  toJson,
  toSession,
  withPart,
  type SessionState,
} from '../../src/files/upload/session-state.ts';

const STATE: SessionState = {
  caller: { principal: 'worker', endUser: '' },
  description: { name: 'a', contentType: '', owner: '', usage: '', relations: {}, attributes: {} },
  ...{
    direct: false,
    partSizeBytes: 8,
    stored: NO_PARTS,
    tail: [{ revision: 2, sizeBytes: 3 }],
    stale: [],
    pending: [],
  },
  ...{ crc32c: 7, sha256State: '', expected: {} },
};

const read = (state: unknown) =>
  toSession({ id: 'x', revision: 1, expireTime: new Date(0), state: state as JsonValue }).state;

describe('the state of an upload', () => {
  it('is kept with its version, and read as it was', () => {
    expect(toJson(STATE)).toMatchObject({ version: 2 });
    expect(read(toJson(STATE))).toEqual(STATE);
  });

  it.each([0, 1])('of version %s, which lists its parts, is read as well', (version) => {
    const part = (partNumber: number) => ({
      partNumber,
      sizeBytes: 8,
      tag: `"tag ${partNumber}"`,
      crc32c: 1,
    });
    const { stored: _stored, ...rest } = STATE;
    const listed = { ...rest, ...(version > 0 && { version }), parts: [part(1), part(2)] };
    const state = read(listed);
    expect(state.stored).toEqual(withPart(withPart(NO_PARTS, part(1)), part(2)));
    expect(persistedSize({ state })).toBe(2 * 8 + 3);
    expect(toJson(state)).not.toHaveProperty('parts');
  });

  it('takes no more room with ten thousand parts than with one', () => {
    let stored = NO_PARTS;
    for (let partNumber = 1; partNumber <= 10_000; partNumber++) {
      stored = withPart(stored, { partNumber, sizeBytes: 8 * 2 ** 20, tag: 'f'.repeat(32), crc32c: 2 ** 31 });
    }
    expect(stored).toMatchObject({ count: 10_000, sizeBytes: 10_000 * 8 * 2 ** 20 });
    expect(JSON.stringify(toJson({ ...STATE, stored })).length).toBeLessThan(1_000);
  });

  it('proves which parts they are, and in which order', () => {
    const [one, two] = [
      { partNumber: 1, sizeBytes: 8, tag: 'a' },
      { partNumber: 2, sizeBytes: 8, tag: 'b' },
    ] as const;
    const { digest } = withPart(withPart(NO_PARTS, one), two);
    const others = [[two, one], [one, { ...two, tag: 'c' }], [one, { ...two, sizeBytes: 9 }], [one]];
    for (const parts of others) expect(parts.reduce(withPart, NO_PARTS).digest).not.toBe(digest);
    // One store names the tag in quotes here and without them there.
    expect(withPart(withPart(NO_PARTS, one), { ...two, tag: '"b"' }).digest).toBe(digest);
  });

  it('of a later release is left to a replica that can read it', () => {
    expect(() => read({ version: 3, other: true })).toThrow(
      expect.objectContaining({ reason: 'CATALOG_UNAVAILABLE' }),
    );
  });

  it('that is damaged is told with what is wrong', () => {
    expect(() => read(null)).toThrow(/state of the upload x is damaged/);
    expect(() => read({ ...STATE, version: 1, parts: 'none' })).toThrow(/damaged: .*parts/);
    expect(() => read({ ...STATE, version: 2, stored: 'none' })).toThrow(/damaged: .*stored/);
    expect(() => read({ ...STATE, version: 2, tail: [{ revision: 'two', sizeBytes: 1 }] })).toThrow(
      /damaged: .*tail/,
    );
  });
});
