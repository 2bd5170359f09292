import { describe, expect, it } from '@jest/globals';
import { crc32c as addon } from '@node-rs/crc32';
import fc from 'fast-check';
import { crc32c, crc32cInJavaScript } from '../../clients/core/src/crc32c.ts';

describe('the CRC32C of the clients', () => {
  it('is the one of RFC 3720', () => {
    const digits = Buffer.from('123456789');
    expect([crc32c, crc32cInJavaScript].map((sum) => sum(digits))).toEqual([0xe3069283, 0xe3069283]);
    expect(crc32cInJavaScript(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
    expect(crc32cInJavaScript(new Uint8Array())).toBe(0);
  });

  it('is the same without the addon, in one piece and in several', () => {
    const bytes = fc.uint8Array({ maxLength: 100 });
    fc.assert(
      fc.property(bytes, bytes, (first, second) => {
        const whole = Buffer.concat([first, second]);
        expect(crc32cInJavaScript(whole)).toBe(addon(whole));
        expect(crc32cInJavaScript(second, crc32cInJavaScript(first))).toBe(addon(whole));
        expect(crc32c(second, crc32c(first))).toBe(addon(whole));
      }),
    );
  });
});
