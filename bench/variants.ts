/**
 * Variants of images by the service, by sharp in one process without limits, and by PocketBase:
 *
 *     npm run bench:variants -- --files=12 --rounds=3
 *
 * Prints files per second and CPU time per file, of the process and its children. The ways take turns and get the same
 * images; every variant is made once, and the medians of the rounds are compared.
 *
 *     npm run bench:variants -- --hostile --seconds=20
 *
 * measures instead how long health checks take while hostile images are decoded.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import sharp, { type Sharp } from 'sharp';
import { clientOf, upload } from '../test/e2e/support/calls.ts';
import { startPocketBase, type PocketBaseServer } from '../test/support/pocketbase.ts';
import { makeDir, removeDir } from '../test/support/process.ts';
import { startService, type Service } from '../test/support/service.ts';
import { cpuSeconds } from './usage.ts';
import { measureHealth } from './variant-health.ts';

const { values } = parseArgs({
  options: {
    files: { type: 'string', default: '12' },
    rounds: { type: 'string', default: '3' },
    hostile: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '20' },
  },
});
const fileCount = Number(values.files);
const rounds = Number(values.rounds);

/** Callers at the same time; also the number of processes of the service, and of threads of sharp. */
const CALLERS = 2;

/** Images of one kind. */
interface Images {
  readonly name: string;
  make(index: number): Promise<Buffer>;
}

const IMAGES: readonly Images[] = [
  {
    name: 'JPEG, 12 megapixels',
    make: (index) => photo(4_000, 3_000, index).jpeg({ quality: 85 }).toBuffer(),
  },
  { name: 'PNG, 2 megapixels', make: (index) => photo(1_600, 1_200, index).png().toBuffer() },
];

/** An image with soft shapes and a little noise, different for each index. */
function photo(width: number, height: number, index: number): Sharp {
  const noise = { type: 'gaussian', mean: 100 + index, sigma: 30 } as const;
  return sharp({ create: { width: width / 8, height: height / 8, channels: 3, background: 'grey', noise } })
    .resize(width, height, { kernel: 'cubic' })
    .modulate({ hue: index * 7 });
}

/** One way to make variants. */
interface Way {
  readonly name: string;
  /** Stores the images; returns what makes the variant of each. */
  prepare(images: readonly Buffer[]): Promise<readonly (() => Promise<unknown>)[]>;
  /** CPU time so far, in seconds. */
  cpu(): number;
}

/** CPU time of a process and of its living children. */
function treeSeconds(pid: number): number {
  const children = readdirSync('/proc').filter((name) => {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === pid;
    } catch {
      return false;
    }
  });
  return [pid, ...children.map(Number)].reduce((sum, one) => sum + cpuSeconds(one), 0);
}

function byService(service: Service, format: string): Way {
  const client = clientOf(service.url);
  return {
    name: `the service, ${format}`,
    async prepare(images) {
      const files = [];
      for (const image of images) files.push(await upload(client, Buffer.from(image), { file: {} }));
      return files.map(
        ({ id }) =>
          () =>
            client.getFileUrl({ source: { case: 'fileId', value: id }, variant: format }),
      );
    },
    cpu: () => treeSeconds(service.pid!),
  };
}

function bySharp(format: 'webp' | 'jpeg'): Way {
  const make = (image: Buffer) =>
    sharp(image)
      .autoOrient()
      .resize(320, 320)
      .toColourspace('srgb')
      .toFormat(format, { quality: 80 })
      .toBuffer();
  return {
    name: `sharp in one process, ${format}`,
    prepare: (images) => Promise.resolve(images.map((image) => () => make(image))),
    cpu: () => cpuSeconds(process.pid),
  };
}

async function byPocketBase(server: PocketBaseServer): Promise<Way> {
  const send = async (path: string, body: string | FormData, method = 'POST', token = '') => {
    const headers = {
      authorization: token,
      ...(typeof body === 'string' && { 'content-type': 'application/json' }),
    };
    const response = await fetch(server.url + path, { method, body, headers });
    if (!response.ok) throw new Error(`PocketBase answered ${response.status}: ${await response.text()}`);
    return response.status === 204 ? {} : ((await response.json()) as Record<string, string>);
  };
  const credentials = JSON.stringify({ identity: server.email, password: server.password });
  const { token } = await send('/api/collections/_superusers/auth-with-password', credentials);
  const fields = [{ name: 'file', type: 'file', maxSize: 2 ** 30, thumbs: ['320x320'] }];
  const collections = [{ name: 'bench_images', type: 'base', fields }];
  await send('/api/collections/import', JSON.stringify({ collections, deleteMissing: false }), 'PUT', token);
  return {
    name: 'PocketBase, 320x320',
    async prepare(images) {
      const urls: string[] = [];
      for (const image of images) {
        const form = new FormData();
        form.set('file', new Blob([new Uint8Array(image)]), 'image');
        const { id, file } = await send('/api/collections/bench_images/records', form, 'POST', token);
        urls.push(`${server.url}/api/files/bench_images/${id}/${file}?thumb=320x320`);
      }
      return urls.map((url) => async () => {
        const response = await fetch(url);
        await response.arrayBuffer();
        if (!response.ok) throw new Error(`PocketBase answered ${response.status}`);
      });
    },
    cpu: () => treeSeconds(server.pid!),
  };
}

/** Runs all of the work, some at the same time; returns the seconds. */
async function run(work: readonly (() => Promise<unknown>)[]): Promise<number> {
  const started = performance.now();
  const left = [...work];
  const caller = async () => {
    for (let next = left.shift(); next; next = left.shift()) await next();
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
  return (performance.now() - started) / 1_000;
}

const median = (numbers: readonly number[]) =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]!;

const dir = await makeDir('bench-variants');
const policies = join(dir, 'policies.json');
const size = { width: 320, height: 320, quality: 80 };
const variants = { webp: { ...size, format: 'webp' }, jpeg: { ...size, format: 'jpeg' } };
await writeFile(policies, JSON.stringify({ default: { variants } }));
const service = await startService({
  ASSET_POLICY_FILE: policies,
  ASSET_VARIANT_CONCURRENCY: String(CALLERS),
  ASSET_LOG_LEVEL: 'warn',
});
if (values.hostile) {
  try {
    await measureHealth(service, { variant: 'webp', callers: 2 * CALLERS, seconds: Number(values.seconds) });
  } finally {
    await service.dispose();
    await removeDir(dir);
  }
  process.exit();
}
const pocketbase = await startPocketBase();
try {
  sharp.concurrency(1);
  sharp.cache(false);
  const ways = [
    ...(['webp', 'jpeg'] as const).flatMap((format) => [byService(service, format), bySharp(format)]),
    await byPocketBase(pocketbase),
  ];
  console.log('| images | way | files/s | CPU ms per file |\n| --- | --- | --- | --- |');
  for (const { name, make } of IMAGES) {
    const results = ways.map(() => ({ perSecond: [] as number[], cpuMs: [] as number[] }));
    for (let round = 0; round <= rounds; round++) {
      const images = await Promise.all(
        Array.from({ length: fileCount }, (_none, index) => make(round * fileCount + index)),
      );
      for (const [index, way] of ways.entries()) {
        const work = await way.prepare(images);
        const before = way.cpu();
        const seconds = await run(work);
        // The first round starts the processes.
        if (round === 0) continue;
        results[index]!.perSecond.push(fileCount / seconds);
        results[index]!.cpuMs.push(((way.cpu() - before) * 1_000) / fileCount);
      }
    }
    for (const [index, way] of ways.entries()) {
      const { perSecond, cpuMs } = results[index]!;
      console.log(
        `| ${name} | ${way.name} | ${median(perSecond).toFixed(1)} | ${median(cpuMs).toFixed(0)} |`,
      );
    }
  }
} finally {
  await Promise.all([service.dispose(), pocketbase.dispose()]);
  await removeDir(dir);
}
