import { describe, expect, it } from '@jest/globals';
import { decodePageToken, encodePageToken } from '../../src/files/list.ts';

const cursor = { createTime: new Date('2026-01-02T03:04:05.678Z'), id: 'abc' };

describe('page tokens', () => {
  it('come back as the cursor they were made of', () => {
    const token = encodePageToken(cursor, { owner: 'ann' }, true);
    expect(decodePageToken(token, { owner: 'ann' }, true)).toEqual(cursor);
    expect(decodePageToken('', {}, false)).toBeUndefined();
  });

  it('belong to one list', () => {
    const token = encodePageToken(cursor, { owner: 'ann' }, false);
    for (const [filter, showDeleted] of [
      [{ owner: 'bob' }, false],
      [{ usage: 'ann' }, false],
      [{}, false],
      [{ owner: 'ann' }, true],
    ] as const) {
      expect(() => decodePageToken(token, filter, showDeleted)).toThrow(
        expect.objectContaining({ reason: 'PAGE_TOKEN_INVALID' }),
      );
    }
  });

  it.each([
    'x',
    '!!!',
    Buffer.from('[1]').toString('base64url'),
    Buffer.from('[1e300,"a","b"]').toString('base64url'),
  ])('refuse %j', (token) => {
    expect(() => decodePageToken(token, {}, false)).toThrow(
      expect.objectContaining({ reason: 'PAGE_TOKEN_INVALID' }),
    );
  });
});
