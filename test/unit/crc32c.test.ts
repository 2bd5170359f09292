import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { combineCrc32c, crc32c } from '../../src/files/upload/crc32c.ts';

describe('CRC32C', () => {
  it('of two ranges follows from that of each', () => {
    const bytes = fc.uint8Array({ maxLength: 5000 });
    fc.assert(
      fc.property(bytes, bytes, (first, second) => {
        const whole = crc32c(Buffer.concat([first, second]));
        expect(combineCrc32c(crc32c(first), crc32c(second), second.length)).toBe(whole);
      }),
    );
  });

  it('combines over long ranges', () => {
    const first = Buffer.alloc(3, 7);
    const second = Buffer.alloc(70_000_001, 5);
    const whole = crc32c(second, crc32c(first));
    expect(combineCrc32c(crc32c(first), crc32c(second), second.length)).toBe(whole);
  });

  it('is that of RFC 3720', () => {
    expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa);
    expect(crc32c(Buffer.alloc(32, 0xff))).toBe(0x62a8ab43);
    expect(crc32c(Buffer.alloc(0))).toBe(0);
  });
});
