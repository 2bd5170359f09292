import {
  GetFileUrlRequestSchema,
  GetFileUrlResponseSchema,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { create, toBinary } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import { crc32c } from '@node-rs/crc32';
import { createHash } from 'node:crypto';
import { contentOf, generatedContent, type Sendable } from './content.ts';
import { LeanClient } from './lean-client.ts';
import { cpuSeconds, peakMemory, resetPeakMemory } from './usage.ts';
import { openWorld } from './world.ts';

const MiB = 2 ** 20;
const GiB = 2 ** 30;

/**
 * Sends one generated file through the service into SeaweedFS. Prints the cost of the service and checks the
 * checksums: of the record, of the bytes read back, and that wrong ones are refused. The store writes to the
 * temporary directory, which is emptied at the end.
 *
 * @throws Error if a checksum is wrong
 */
export async function measureHuge(gibibytes: number): Promise<void> {
  if (!Number.isInteger(gibibytes) || gibibytes < 1)
    throw new RangeError('--gib takes a whole number from 1 on');
  const world = await openWorld({ withTusd: false });
  const client = new LeanClient(world.service.url);
  try {
    const file = { name: 'huge.bin', owner: 'bench' };
    const pid = world.service.pid!;
    const warm = contentOf(64 * MiB);
    await client.upload(warm, file);
    const idle = peakMemory(pid);
    resetPeakMemory(pid);

    const content = generatedContent(gibibytes * GiB);
    const before = { server: cpuSeconds(pid), client: cpuSeconds(process.pid), at: performance.now() };
    const stored = await client.upload(content, file);
    const seconds = (performance.now() - before.at) / 1000;
    const server = cpuSeconds(pid) - before.server;
    const own = cpuSeconds(process.pid) - before.client;
    const peak = peakMemory(pid);

    print(
      'one file',
      `${gibibytes} GiB in ${seconds.toFixed(1)} s, ${Math.round((gibibytes * 1024) / seconds)} MiB/s`,
    );
    print('server CPU', `${(server / gibibytes).toFixed(2)} s per GiB`);
    print('client CPU', `${(own / gibibytes).toFixed(2)} s per GiB, which makes the file and hashes it`);
    print(
      'peak memory',
      `${Math.round(peak / MiB)} MiB of the service (${Math.round(idle / MiB)} after 64 MiB)`,
    );

    const { sha256, crc32c: sum } = content;
    const { checksums } = stored;
    if (
      !isSame(sha256, checksums?.sha256) ||
      checksums?.crc32c !== sum ||
      Number(stored.sizeBytes) !== content.sizeBytes
    ) {
      throw new Error('the record has not the checksums and size of what was sent');
    }
    print('record', 'SHA-256, CRC32C and size are those of what was sent');

    const back = await readBack(client, stored.id);
    if (!isSame(sha256, back.sha256) || back.crc32c !== sum)
      throw new Error('the store gives other bytes back');
    print('read back', 'SHA-256 and CRC32C are those of what was sent');

    await assertRefused(client, { ...warm, sha256: new Uint8Array(32) });
    await assertRefused(client, { ...warm, crc32c: (warm.crc32c ^ 1) >>> 0 });
    print('wrong sums', 'a wrong SHA-256 and a wrong CRC32C of a whole file are refused');
  } finally {
    client.close();
    await world.close();
  }
}

/** Reads a file by its URL and hashes it. */
async function readBack(client: LeanClient, fileId: string): Promise<{ sha256: Buffer; crc32c: number }> {
  const request = create(GetFileUrlRequestSchema, { source: { case: 'fileId', value: fileId } });
  const { url } = await client.unary(
    'asset.v1.AssetService/GetFileUrl',
    toBinary(GetFileUrlRequestSchema, request),
    GetFileUrlResponseSchema,
  );
  const response = await fetch(url);
  if (!response.ok || !response.body) throw new Error(`the store answered ${response.status}`);
  const sha256 = createHash('sha256');
  let crc = 0;
  for await (const chunk of response.body) {
    sha256.update(chunk);
    crc = crc32c(chunk, crc);
  }
  return { sha256: sha256.digest(), crc32c: crc };
}

async function assertRefused(client: LeanClient, content: Sendable): Promise<void> {
  const refusal = await client.upload(content, { name: 'wrong.bin', owner: 'bench' }).then(
    () => 'it was stored',
    (error: unknown) => String(error),
  );
  if (!refusal.includes(`gRPC status ${Code.InvalidArgument}: `) || !/sha-?256|crc32c/i.test(refusal)) {
    throw new Error(`a wrong checksum was not refused as such: ${refusal}`);
  }
}

function isSame(one: Uint8Array, other: Uint8Array | undefined): boolean {
  return other !== undefined && Buffer.compare(one, other) === 0;
}

function print(what: string, value: string): void {
  console.log(`${what.padEnd(14)}${value}`);
}
