import { describe, expect, it } from '@jest/globals';
import type { JsonValue } from '../../src/catalog/file-catalog.ts';
import { toJson, toSession, type SessionState } from '../../src/files/sessions/state.ts';

const STATE: SessionState = {
  caller: { principal: 'worker', endUser: '' },
  description: { name: 'a', contentType: '', owner: '', usage: '', relations: {}, attributes: {} },
  ...{
    direct: false,
    partSizeBytes: 8,
    parts: [],
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
    expect(toJson(STATE)).toMatchObject({ version: 1 });
    expect(read(toJson(STATE))).toMatchObject(STATE);
    // Releases before wrote none.
    expect(read(STATE)).toMatchObject(STATE);
  });

  it('of a later release is left to a replica that can read it', () => {
    expect(() => read({ version: 2, other: true })).toThrow(
      expect.objectContaining({ reason: 'CATALOG_UNAVAILABLE' }),
    );
  });

  it('that is damaged is told with what is wrong', () => {
    expect(() => read(null)).toThrow(/state of the upload x is damaged/);
    expect(() => read({ ...STATE, parts: 'none' })).toThrow(/damaged: .*parts/);
    expect(() => read({ ...STATE, tail: [{ revision: 'two', sizeBytes: 1 }] })).toThrow(/damaged: .*tail/);
  });
});
