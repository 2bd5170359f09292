import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFileSync, readdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import sharp, { type Sharp } from 'sharp';
import { clientOf, upload, type AssetClient } from '../e2e/support/calls.ts';
import { failureOf } from '../e2e/support/failures.ts';
import { eventually } from '../support/eventually.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { healthOf, startService, type Service } from '../support/service.ts';
import { bmp, heic, pdf, png, profileBomb } from './support/images.ts';

const MiB = 2 ** 20;

/** Noise, which no format makes small. */
function noise(width: number, height: number): Sharp {
  const channels = 3 as const;
  return sharp({
    create: {
      width,
      height,
      channels,
      background: 'grey',
      noise: { type: 'gaussian', mean: 128, sigma: 60 },
    },
  });
}

const solid = (width: number, height: number, background = '#c02030') =>
  sharp({ create: { width, height, channels: 3, background } });

async function animation(format: 'gif' | 'webp'): Promise<Buffer> {
  const frames = await Promise.all(
    ['#ff0000', '#00ff00', '#0000ff'].map((colour) => solid(40, 40, colour).png().toBuffer()),
  );
  return sharp(frames, { join: { animated: true } })
    .toFormat(format)
    .toBuffer();
}

const SVG = `<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><image href="file:///etc/passwd"/></svg>`;

/** Files of which no variant is made, with the problem. */
const REFUSED: Record<string, { readonly file: () => Promise<Buffer> | Buffer; readonly problem: string }> = {
  'a PNG of 256 megapixels in 33 kB': {
    file: () => png({ width: 16_384, height: 16_384 }),
    problem: 'too-many-pixels',
  },
  'a PNG that says it has 60,000 by 60,000 pixels': {
    file: () => flatPng(60_000, 60_000),
    problem: 'too-many-pixels',
  },
  'a PNG of 2^31 by 1 pixels': { file: () => flatPng(2 ** 31 - 1, 1), problem: 'damaged' },
  'a PNG that needs more memory than a process may have': {
    file: () => png({ width: 5_000, height: 5_000, colour: 6, depth: 16, isInterlaced: true }),
    problem: 'too-much-memory',
  },
  'a JPEG that ends early': {
    file: async () => (await noise(400, 400).jpeg().toBuffer()).subarray(0, 9_000),
    problem: 'damaged',
  },
  'a WebP that ends early': {
    file: async () => (await noise(400, 400).webp().toBuffer()).subarray(0, 9_000),
    problem: 'damaged',
  },
  'an AVIF that ends early': {
    file: async () => (await noise(64, 64).avif().toBuffer()).subarray(0, 600),
    problem: 'damaged',
  },
  'a GIF that is a script': {
    file: () => Buffer.from('GIF89a/*\n<script>alert(1)</script>*/=1;'),
    problem: 'damaged',
  },
  'a PNG without pixels': { file: () => flatPng(0, 0), problem: 'damaged' },
  'an SVG': { file: () => Buffer.from(SVG), problem: 'not-an-image' },
  'a TIFF': { file: () => solid(10, 10).tiff().toBuffer(), problem: 'not-an-image' },
  'a photo of a phone (HEIC)': { file: heic, problem: 'not-an-image' },
  'a HEIC that says it is an AVIF': {
    file: () => Buffer.from(heic().toString('latin1').replace('ftypheic', 'ftypavif'), 'latin1'),
    problem: 'not-an-image',
  },
  'a BMP': { file: bmp, problem: 'not-an-image' },
  'a PDF that ends early': { file: () => pdf({ pages: 3 }).subarray(0, 60), problem: 'damaged' },
  'a PDF without pages': { file: () => pdf({ pages: 0 }), problem: 'damaged' },
  'a text with the name of a PNG': { file: () => Buffer.from('text'), problem: 'not-an-image' },
};

/** A PNG header without the pixels it promises. */
function flatPng(width: number, height: number): Buffer {
  const file = png({ width: 8, height: 8 });
  file.writeUInt32BE(width, 16);
  file.writeUInt32BE(height, 20);
  // The checksum of the header, over its type and its 13 bytes.
  file.writeUInt32BE(crc32(file.subarray(12, 29)), 29);
  return file;
}

/** Files of which one is made. */
const MADE: Record<string, () => Promise<Buffer> | Buffer> = {
  'a JPEG in CMYK': () => solid(80, 60).toColourspace('cmyk').jpeg().toBuffer(),
  'a PNG of 16 bits': () => solid(80, 60).toColourspace('rgb16').png().toBuffer(),
  'an animated GIF': () => animation('gif'),
  'an animated WebP': () => animation('webp'),
  'a JPEG with another file behind it': async () =>
    Buffer.concat([await solid(80, 60).jpeg().toBuffer(), Buffer.from('PK\x03\x04 hidden <script>')]),
  'a PNG with a profile of 64 MiB': () =>
    png({ width: 80, height: 60, colour: 2, depth: 8, chunks: [profileBomb(64 * MiB)] }),
  'a PDF of 10,000 pages with a script': () => pdf({ pages: 10_000 }),
  'a PDF whose page is a kilometre large': () => pdf({ pages: 1, width: 3_000_000, height: 3_000_000 }),
  'an image of one pixel': () => solid(1, 1).png().toBuffer(),
};

describe('an image made to harm', () => {
  let service: Service;
  let client: AssetClient;
  let dir: string;

  beforeAll(async () => {
    dir = await makeDir('images');
    const policies = join(dir, 'policies.json');
    const variants = {
      thumb: { width: 64, height: 64, format: 'webp' },
      slow: { width: 800, height: 800, format: 'avif', quality: 90 },
    };
    await writeFile(policies, JSON.stringify({ usages: { image: { variants } }, default: {} }));
    service = await startService({
      ASSET_POLICY_FILE: policies,
      ASSET_VARIANT_MEMORY: '224MiB',
      ASSET_VARIANT_CONCURRENCY: '1',
    });
    client = clientOf(service.url);
  });

  afterAll(async () => {
    await service?.dispose();
    await removeDir(dir);
  });

  const uploaded = async (file: Buffer, name = 'picture.png') =>
    (await upload(client, Buffer.from(file), { file: { name, usage: 'image' } })).id;

  const ask = (id: string, variant = 'thumb') =>
    client.getFileUrl({ source: { case: 'fileId', value: id }, variant });

  /** The processes of the service that decode images. */
  function children(): number[] {
    return readdirSync('/proc').flatMap((name) => {
      if (!/^\d+$/.test(name)) return [];
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
        const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        if (state === 'Z' || Number(parent) !== service.pid) return [];
        return readFileSync(`/proc/${name}/cmdline`, 'latin1').includes('variants/child')
          ? [Number(name)]
          : [];
      } catch {
        return [];
      }
    });
  }

  it.each(Object.entries(REFUSED))(
    'is refused with a reason, and not tried again: %s',
    async (_name, { file, problem }) => {
      const id = await uploaded(await file());
      const refused = { code: 'FAILED_PRECONDITION', reason: 'VARIANT_IMPOSSIBLE', metadata: { problem } };
      const failure = await failureOf(ask(id));
      expect(failure).toMatchObject(refused);
      if (problem === 'not-an-image') {
        expect(failure.message).toContain('image/jpeg, image/png');
        expect(failure.metadata).toMatchObject({
          content_type: expect.stringMatching(/^(image|application)\//),
          accepted_types: expect.stringContaining('application/pdf'),
        });
      }
      const before = children();
      expect(await failureOf(ask(id))).toMatchObject(refused);
      expect(children()).toEqual(before);
    },
  );

  it.each(Object.entries(MADE))('gives a plain image: %s', async (_name, file) => {
    const { url } = await ask(await uploaded(await file()));
    const bytes = Buffer.from(await (await fetch(url)).arrayBuffer());
    expect(bytes.includes('hidden')).toBe(false);
    const { pages = 1, ...rest } = await sharp(bytes).metadata();
    expect({ pages, ...rest }).toMatchObject({
      pages: 1,
      format: 'webp',
      width: 64,
      height: 64,
      space: 'srgb',
      depth: 'uchar',
    });
    expect([rest.icc, rest.exif, rest.xmp]).toEqual([undefined, undefined, undefined]);
  });

  it('ends a process that takes too long, while health answers and others are served', async () => {
    const slow = await startService({
      ...{ ASSET_POLICY_FILE: join(dir, 'policies.json') },
      ASSET_VARIANT_TIMEOUT: '0.3',
    });
    try {
      const other = clientOf(slow.url);
      const content = await noise(3_000, 3_000).jpeg().toBuffer();
      const { id } = await upload(other, Buffer.from(content), { file: { usage: 'image' } });
      const call = () =>
        failureOf(other.getFileUrl({ source: { case: 'fileId', value: id }, variant: 'slow' }));
      // On a busy machine its CPU time may not be used up before the time that a caller waits: then it is to call again.
      const untilImpossible = (async () => {
        for (;;) {
          const failure = await call();
          if (failure.reason !== 'RATE_LIMITED') return failure;
        }
      })();
      let isDone = false;
      void untilImpossible.finally(() => (isDone = true));
      do {
        expect(await healthOf(slow.url)).toBe('SERVING');
      } while (!isDone);
      expect(await untilImpossible).toMatchObject({
        reason: 'VARIANT_IMPOSSIBLE',
        metadata: { problem: 'too-slow' },
      });
    } finally {
      await slow.dispose();
    }
  });

  it('goes on after its process was killed: the next request makes the variant', async () => {
    const id = await uploaded(await noise(2_500, 2_500).jpeg().toBuffer());
    const first = ask(id, 'slow').then(
      () => 'made',
      () => 'failed',
    );
    await eventually(() => expect(children()).toHaveLength(1));
    for (const pid of children()) process.kill(pid, 'SIGKILL');
    await first;
    // What the killed process was doing is no failure of the image.
    expect((await ask(id, 'slow')).contentType).toBe('image/avif');
  });

  it('has the same bound of memory for the service, whatever was sent', () => {
    const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${service.pid}/status`, 'latin1'))![1];
    expect(Number(peak) / 1024).toBeLessThan(450);
  });
});
