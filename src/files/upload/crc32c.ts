import { crc32c } from '@node-rs/crc32';

/** The Castagnoli polynomial, lowest power first (RFC 3720, appendix B.4). */
const POLYNOMIAL = 0x82f63b78;

/** CRC32C of some bytes, as an unsigned 32-bit number. */
export { crc32c };

/**
 * CRC32C of two byte sequences one after the other, from the CRC32C of each. A CRC is the remainder of a polynomial
 * division: the first one is multiplied by x to the power of the bits of the second sequence.
 *
 * @param secondBytes - length of the second sequence
 */
export function combineCrc32c(first: number, second: number, secondBytes: number): number {
  if (first === 0) return second;
  return (multiply(first, powerOfX(secondBytes)) ^ second) >>> 0;
}

/** x to the power of 2^n, by n. */
const SQUARES = squares();

let lastBytes = 0;
let lastPower = 0x80000000;

/** x to the power of 8 times `bytes`. Most chunks have one length, so the last result is kept. */
function powerOfX(bytes: number): number {
  if (bytes === lastBytes) return lastPower;
  let power = 0x80000000;
  let bit = 3;
  for (let rest = bytes; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) power = multiply(SQUARES[bit % 32]!, power);
    bit++;
  }
  lastBytes = bytes;
  lastPower = power;
  return power;
}

/** The product of two polynomials, modulo that of CRC32C. The highest bit is the lowest power. */
function multiply(a: number, b: number): number {
  let product = 0;
  for (let bit = 0x80000000; bit !== 0; bit >>>= 1) {
    if ((a & bit) !== 0) product ^= b;
    b = (b & 1) !== 0 ? (b >>> 1) ^ POLYNOMIAL : b >>> 1;
  }
  return product >>> 0;
}

function squares(): readonly number[] {
  const powers = [0x40000000];
  for (let n = 1; n < 32; n++) powers.push(multiply(powers[n - 1]!, powers[n - 1]!));
  return powers;
}
