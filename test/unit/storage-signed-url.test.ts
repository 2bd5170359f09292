import { describe, expect, it } from '@jest/globals';
import { SignedUrls, type BlobGrant } from '../../src/storage/signed-url.ts';

const SECRET = Buffer.alloc(32, 7);
const READ: BlobGrant = {
  kind: 'read',
  id: 'grant-1',
  key: 'assets/0a/abc',
  contentType: 'image/png',
  contentDisposition: `attachment; filename*=UTF-8''%C3%A4.png`,
  cacheControl: 'private, max-age=3600',
};
const PART: BlobGrant = {
  kind: 'part',
  id: 'grant-2',
  key: 'assets/0a/abc',
  multipartId: '00ff-11',
  partNumber: 3,
  sizeBytes: 5_000_000,
};
const ISSUED = new Date('2026-01-01T00:00:00Z');
const LIFETIME = { issuedAt: ISSUED, ttlSeconds: 60 };

const after = (ms: number) => new Date(ISSUED.getTime() + ms);
const pathOf = (url: string) => new URL(url).pathname + new URL(url).search;
const tokenOf = (path: string) => /^\/blobs\/([^?]*)\?/.exec(path)![1]!;
const pathWith = (token: string) => `/blobs/${token}?x-grant=${READ.id}`;

describe('signed URLs', () => {
  const urls = new SignedUrls('https://assets.example', SECRET);

  it.each([
    ['a blob to read', READ],
    ['a part to send', PART],
  ])('give back what they grant: %s', (_name, grant) => {
    const url = urls.sign(grant, LIFETIME).url;
    expect(url.startsWith('https://assets.example/blobs/')).toBe(true);
    expect(urls.verify(pathOf(url), after(0))).toEqual({ status: 'valid', grant });
  });

  it('are equal for equal grants, also from another process, and tell nothing of the key', () => {
    const url = urls.sign(READ, LIFETIME).url;
    expect(new SignedUrls('https://assets.example/', SECRET).sign({ ...READ }, LIFETIME).url).toBe(url);
    const token = Buffer.from(tokenOf(pathOf(url)), 'base64url').toString('latin1');
    expect(token).not.toContain('assets');
    expect(urls.sign(READ, { ...LIFETIME, ttlSeconds: 61 }).url).not.toBe(url);
  });

  it('end at the second that was said, and not before', () => {
    const path = pathOf(urls.sign(READ, LIFETIME).url);
    expect(urls.verify(path, after(59_999)).status).toBe('valid');
    expect(urls.verify(path, after(60_000))).toEqual({ status: 'expired' });
    expect(urls.verify(path, after(10 * 365 * 86_400_000))).toEqual({ status: 'expired' });
  });

  it('are useless once any bit of the token is changed', () => {
    const path = pathOf(urls.sign(READ, LIFETIME).url);
    const token = Buffer.from(tokenOf(path), 'base64url');
    for (let at = 0; at < token.length; at++) {
      for (const bit of [1, 128]) {
        const changed = Buffer.from(token);
        changed[at]! ^= bit;
        const result = urls.verify(pathWith(changed.toString('base64url')), after(0));
        expect([at, result.status]).toEqual([at, 'invalid']);
      }
    }
  });

  it('are useless once something is left out, added or written another way', () => {
    const path = pathOf(urls.sign({ ...READ, key: 'a' }, LIFETIME).url);
    const token = tokenOf(path);
    const last = token.at(-1)!;
    // The last character of a token holds unused bits; setting them decodes to the same bytes.
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const twins = [...alphabet]
      .filter((char) => char !== last)
      .map((char) => token.slice(0, -1) + char)
      .filter((twin) => Buffer.from(twin, 'base64url').equals(Buffer.from(token, 'base64url')));
    const standard = Buffer.from(token, 'base64url').toString('base64');
    for (const other of [
      ...['', 'x', token.slice(1), token.slice(0, -1), token.slice(0, 43), `${token}A`, `${token}=`],
      ...[`${token}?x=1`, `${token}#x`, `${token}/`, `${token} `, ` ${token}`, `${token}\n`],
      ...twins,
      ...(standard === token ? [] : [standard]),
    ]) {
      expect([other, urls.verify(pathWith(other), after(0)).status]).toEqual([other, 'invalid']);
    }
    expect(urls.verify(path, after(0)).status).toBe('valid');
    for (const query of [
      ...['', '?', '?x-grant=', '?x-grant=other', '?x-grant=grant-1&x=1', '?x=1&x-grant=grant-1'],
      ...['?x-grant=grant-1?x-grant=grant-1', '?x-grant=grant%2d1', '?X-Grant=grant-1', '#x-grant=grant-1'],
    ]) {
      expect([query, urls.verify(`/blobs/${token}${query}`, after(0)).status]).toEqual([query, 'invalid']);
    }
  });

  it('have a token that can be written in more than one way, of which one is taken', () => {
    // Makes sure that the test above had something to try.
    const tokens = ['a', 'ab', 'abc'].map((key) =>
      tokenOf(pathOf(urls.sign({ ...READ, key }, LIFETIME).url)),
    );
    expect(tokens.some((token) => token.length % 4 !== 0)).toBe(true);
    for (const token of tokens.filter((one) => one.length % 4 !== 0)) {
      const padded = token.padEnd(Math.ceil(token.length / 4) * 4, '=');
      expect(urls.verify(pathWith(padded), after(0)).status).toBe('invalid');
    }
  });

  it('stand below the path of the public URL, which a proxy may take away', () => {
    const below = new SignedUrls('https://example.com/files/v1/', SECRET);
    const url = below.sign(READ, LIFETIME).url;
    const path = pathOf(url);
    expect(path.startsWith('/files/v1/blobs/')).toBe(true);
    expect(below.verify(path, after(0)).status).toBe('valid');
    expect(below.verify(path.slice('/files/v1'.length), after(0)).status).toBe('valid');
    for (const wrong of [
      `/other${path}`,
      `/files${path.slice('/files/v1'.length)}`,
      `/files/v1${path}`,
      path.slice(1),
    ]) {
      expect([wrong, below.verify(wrong, after(0)).status]).toEqual([wrong, 'invalid']);
    }
  });

  it('of another secret mean nothing, and a short secret is refused', () => {
    const other = new SignedUrls('https://assets.example', Buffer.alloc(32, 8));
    expect(other.verify(pathOf(urls.sign(READ, LIFETIME).url), after(0))).toEqual({ status: 'invalid' });
    expect(() => new SignedUrls('https://assets.example', Buffer.alloc(31))).toThrow(RangeError);
  });
});
