import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { createHash } from 'node:crypto';
import {
  loadOpenSslSha256,
  openWasmSha256,
  STATE_BYTES,
  type OpenSha256,
} from '../../src/files/upload/resumable-sha256.ts';

const openssl = await loadOpenSslSha256();
const wasm: readonly [string, OpenSha256] = ['WebAssembly', openWasmSha256];
const all = openssl ? [wasm, ['OpenSSL', openssl] as const] : [wasm];
const pairs = all.flatMap(([a, first]) => all.map(([b, second]) => [a, b, first, second] as const));

describe('SHA-256 that can be saved', () => {
  it('runs with the instructions of the processor where Node.js is the official one for Linux', () => {
    if (process.platform === 'linux' && ['x64', 'arm64'].includes(process.arch))
      expect(openssl).toBeDefined();
  });

  it.each(pairs)('is begun with %s and ended with %s as if it were one', async (_a, _b, first, second) => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 700 }),
        fc.array(fc.nat(700), { maxLength: 4 }),
        async (bytes, cuts) => {
          const places = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)), bytes.length];
          places.sort((a, b) => a - b);
          let hash = await first();
          for (const [index, from] of places.slice(0, -1).entries()) {
            hash.update(bytes.subarray(from, places[index + 1]));
            const state = hash.save();
            expect(state).toHaveLength(STATE_BYTES);
            hash = await (index % 2 === 0 ? second : first)(state);
          }
          const expected = createHash('sha256').update(bytes).digest('hex');
          expect(hash.digest().toString('hex')).toBe(expected);
          // To ask for the hash changes nothing.
          expect(hash.digest().toString('hex')).toBe(expected);
        },
      ),
      { numRuns: 200 },
    );
  });

  it.each(all)('counts with %s beyond what 32 bits hold', async (_name, open) => {
    // A state as it is after 8 GiB: the hash of what follows has to take the length in.
    const state = Buffer.from((await openWasmSha256()).save());
    state.writeBigUInt64LE(2n ** 33n, 64);
    const hash = await open(state);
    hash.update(Buffer.from('the end'));
    const expected = await openWasmSha256(state);
    expected.update(Buffer.from('the end'));
    const other = Buffer.from(hash.save());
    expect(other.readBigUInt64LE(64)).toBe(2n ** 33n + 7n);
    expect(hash.digest().toString('hex')).toBe(expected.digest().toString('hex'));
  });
});
