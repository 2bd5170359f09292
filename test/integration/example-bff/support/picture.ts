import { crc32, deflateSync } from 'node:zlib';

/** A PNG of a landscape, another one for each seed. */
export function picture(width: number, height: number, seed: number): Buffer {
  const rows = Buffer.alloc((width * 3 + 1) * height);
  const horizon = 0.45 + 0.12 * Math.sin(seed * 1.7);
  const sky = hue(seed * 67);
  const ground = hue(seed * 67 + 150);
  for (let y = 0, at = 0; y < height; y++) {
    at++;
    for (let x = 0; x < width; x++) {
      const hills =
        horizon + 0.07 * Math.sin(x / (width / 6) + seed) + 0.03 * Math.sin(x / (width / 17) + seed * 3);
      const v = y / height;
      const sun = Math.hypot(x / width - 0.7, ((v - horizon * 0.55) * height) / width) < 0.07;
      const light = v < hills ? 0.62 + 0.38 * (1 - v / hills) : 0.75 - 0.5 * (v - hills);
      const base = sun ? [255, 244, 214] : v < hills ? sky : ground;
      for (const channel of base) rows[at++] = Math.min(255, channel * (sun ? 1 : light));
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2], 8);
  const signature = Buffer.from('89504e470d0a1a0a', 'hex');
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** A soft colour of this hue in degrees. */
function hue(degrees: number): number[] {
  return [0, 120, 240].map((shift) => 158 + 58 * Math.cos(((degrees - shift) * Math.PI) / 180));
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type), data]);
  const whole = Buffer.alloc(body.length + 8);
  whole.writeUInt32BE(data.length, 0);
  body.copy(whole, 4);
  whole.writeUInt32BE(crc32(body), body.length + 4);
  return whole;
}
