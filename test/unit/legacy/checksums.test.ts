import { describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { checksumsOf, contradicted } from '../../../src/legacy/checksums.ts';
import { crc32c } from '../../../src/files/upload/crc32c.ts';

const content = Buffer.from('content of an old file');
const hexOf = (name: string) => createHash(name).update(content).digest('hex');
const read = (...chunks: Uint8Array[]) =>
  (async function* () {
    yield* chunks;
  })();

describe('checksums of old files', () => {
  it('are those of the store, of metadata, and of fields of the record', () => {
    const metadata = { md5: hexOf('md5').toUpperCase(), 'original-filename': 'a.txt' };
    const fields = { sha256: [hexOf('sha256')], title: [hexOf('md5')], checksum: ['v1'], sha1: ['nothing'] };
    expect(checksumsOf(fields, { headers: { metadata } }, { crc32c: '00000001' })).toEqual([
      { algorithm: 'crc32c', hex: '00000001', from: "the store's crc32c" },
      { algorithm: 'md5', hex: hexOf('md5'), from: 'metadata md5' },
      { algorithm: 'sha256', hex: hexOf('sha256'), from: 'field sha256' },
    ]);
    expect(checksumsOf({}, { headers: {} }, {})).toEqual([]);
  });

  it('are compared with the bytes, however they come', async () => {
    const sum = crc32c(content).toString(16).padStart(8, '0');
    const known = checksumsOf(
      { sha256: [hexOf('sha256')], sha1: [hexOf('sha1')] },
      { headers: { metadata: { md5: hexOf('md5') } } },
      { crc32c: sum },
    );
    expect(await contradicted(read(content.subarray(0, 5), content.subarray(5)), known)).toBeUndefined();
    for (const one of known) {
      const others = known.filter((other) => other !== one);
      const wrong = { ...one, hex: one.hex.replace(/^./, (digit) => (digit === '0' ? '1' : '0')) };
      expect(await contradicted(read(content), [...others, wrong])).toBe(one.from);
    }
    expect(await contradicted(read(), [])).toBeUndefined();
  });
});
