/**
 * The steps of a store move: `npm run bench:store-move -- --files=1000`.
 *
 * Moves files from one bucket of a SeaweedFS to another and back, and prints speed, CPU time per file and the greatest
 * resident memory of each step. `--one-way` leaves out the way back. `--compare=10000` does it with that many files too, and prints the ratio per file.
 */
import { createHash, randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import pLimit from 'p-limit';
import { migrateCatalog } from '../src/app/catalog.ts';
import { withStoreAndCatalog } from '../src/app/legacy.ts';
import { importFile } from '../src/catalog/transfer.ts';
import { loadConfig } from '../src/config/config.ts';
import { blobKey } from '../src/files/bytes.ts';
import { newFileId } from '../src/files/upload/ids.ts';
import { crc32c } from '../src/files/upload/crc32c.ts';
import { makeDir, removeDir } from '../test/support/process.ts';
import { startSeaweedFS } from '../test/support/seaweedfs.ts';
import { createBucket, SHARED } from '../test/support/shared-servers.ts';
import { buildService } from './build.ts';
import { measuredCommand } from './measured-command.ts';
import { cpuSeconds } from './usage.ts';

const MEBIBYTE = 2 ** 20;
const SEEDING = 24;
const STEPS = [
  ['start', '--yes'],
  ['verify'],
  ['switch', '--yes'],
  ['complete', '--yes'],
  ['retire', '--yes'],
];

const { values } = parseArgs({
  options: {
    files: { type: 'string', default: '1000' },
    compare: { type: 'string' },
    size: { type: 'string', default: '20000' },
    'one-way': { type: 'boolean', default: false },
  },
});

await buildService();
const server = await startSeaweedFS();
process.env[SHARED.s3Endpoint] = server.endpoint;
process.env[SHARED.accessKeyId] = server.accessKeyId;
process.env[SHARED.secretAccessKey] = server.secretAccessKey;
try {
  const first = await roundTrip(Number(values.files));
  if (values.compare !== undefined) {
    const second = await roundTrip(Number(values.compare));
    for (const [name, ms] of first)
      print(`${name} per file`, `${((second.get(name) ?? NaN) / ms).toFixed(2)} x`);
  }
} finally {
  await server.dispose();
}

/** Moves there and back; returns the CPU time per file of command and server by step, in milliseconds. */
async function roundTrip(files: number): Promise<ReadonlyMap<string, number>> {
  const dir = await makeDir('bench-store-move');
  const [a, b] = [await createBucket(), await createBucket()];
  const from = (bucket: string, prefix = '') => ({
    [`ASSET_${prefix}STORE`]: 's3',
    [`ASSET_${prefix}S3_ENDPOINT`]: a.endpoint,
    [`ASSET_${prefix}S3_BUCKET`]: bucket,
  });
  const base = {
    ...{ ASSET_DATA_DIR: dir, ASSET_CATALOG: 'sqlite', ASSET_AUDIT_LOG: 'off' },
    ...{ AWS_ACCESS_KEY_ID: a.accessKeyId, AWS_SECRET_ACCESS_KEY: a.secretAccessKey },
  };
  const there = { ...base, ...from(a.bucket), ...from(b.bucket, 'NEXT_') };
  const back = { ...base, ...from(b.bucket), ...from(a.bucket, 'NEXT_') };
  const used = new Map<string, number>();
  try {
    await seed({ ...base, ...from(a.bucket) }, files);
    print(`${files} files`, 'files/s', 'MB/s', 'CPU ms/file: command', 'SeaweedFS', 'peak memory');
    for (const [way, env] of [
      ['there', there],
      ['back', back],
    ] as const) {
      if (way === 'back' && values['one-way']) break;
      for (const args of STEPS) {
        const name = `${args[0]} ${way}`;
        used.set(name, await measure(name, ['store', 'move', ...args], { dir, env, files }));
      }
    }
    return used;
  } finally {
    await removeDir(dir);
  }
}

/** Stores files past the service: their bytes and their records. */
async function seed(env: Readonly<Record<string, string>>, files: number): Promise<void> {
  const config = loadConfig(env);
  await migrateCatalog(config);
  await withStoreAndCatalog(config, async ({ catalog, store }) => {
    const limit = pLimit(SEEDING);
    const one = async () => {
      const content = randomBytes(Number(values.size));
      const id = newFileId();
      const body = { sizeBytes: content.length, chunks: [content] };
      await store.put(blobKey(id), body, { contentType: 'application/octet-stream' });
      const now = new Date();
      const record = {
        ...{ id, name: `${id}.bin`, contentType: 'application/octet-stream', sizeBytes: content.length },
        ...{ sha256: new Uint8Array(createHash('sha256').update(content).digest()), crc32c: crc32c(content) },
        ...{ owner: '', usage: '', relations: {}, attributes: {}, createdBy: 'bench', createdFor: '' },
        ...{ createTime: now, updateTime: now, deleteTime: undefined, purgeTime: undefined, revision: '1' },
      };
      await importFile(catalog, { record });
    };
    await Promise.all(Array.from({ length: files }, () => limit(one)));
  });
}

/** Runs one command to its end, prints what it took, and returns the CPU time per file in milliseconds. */
async function measure(
  name: string,
  args: readonly string[],
  { dir, env, files }: { readonly dir: string; readonly env: Record<string, string>; readonly files: number },
): Promise<number> {
  const before = cpuSeconds(server.pid!);
  const { seconds, cpu, memory } = await measuredCommand(args, { dir, env });
  const [ofCommand, ofServer] = [cpu, cpuSeconds(server.pid!) - before].map((one) => (one * 1_000) / files);
  const megabytes = (files * Number(values.size)) / 1e6;
  print(
    name,
    (files / seconds).toFixed(0),
    (megabytes / seconds).toFixed(1),
    ofCommand!.toFixed(2),
    ofServer!.toFixed(2),
    `${Math.round(memory / MEBIBYTE)} MiB`,
  );
  return ofCommand! + ofServer!;
}

function print(first: string, ...rest: readonly string[]): void {
  process.stdout.write(`${first.padEnd(22)}${rest.map((text) => text.padStart(22)).join('')}\n`);
}
