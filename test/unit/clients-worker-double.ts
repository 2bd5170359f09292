import type { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { type AssetClientOptions, createWorkerClient, type WorkerClient } from '@asset-service/worker';
import { afterEach } from '@jest/globals';
import type { ServiceImpl } from '@connectrpc/connect';
import { crc32c } from '@node-rs/crc32';
import { createHash, randomBytes } from 'node:crypto';
import { type Double, startDouble } from './clients-double.ts';

type Methods = Partial<ServiceImpl<typeof AssetService>>;

/** The size of a downloaded piece, in bytes. */
export const PIECE = 100_000;
/** The bytes of `file`: eleven pieces. */
export const content = randomBytes(10 * PIECE + 7);
/** A file as the service describes it. */
export const file = {
  id: 'abc',
  name: 'a.bin',
  sizeBytes: BigInt(content.length),
  checksums: { sha256: createHash('sha256').update(content).digest(), crc32c: crc32c(content) },
};

/** Clients and doubles to close after the test. */
export const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each[Symbol.asyncDispose]();
});

/** Starts a double with these methods, and a worker client of it. */
export async function start(
  methods: Methods,
  options: Partial<AssetClientOptions> = {},
): Promise<{ client: WorkerClient; double: Double }> {
  const double = await startDouble(methods, { http1: options.transport === 'connect' });
  const client = createWorkerClient({ baseUrl: double.baseUrl, retry: { baseDelayMs: 10 }, ...options });
  open.push(double, client);
  return { client, double };
}
