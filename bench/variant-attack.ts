// A worker thread that uploads hostile images and requests a variant of each, so that this does not delay the measurement.
// It says `ready` when it has the images, and what became of each request.
import { parentPort, workerData } from 'node:worker_threads';
import { Code, type ConnectError } from '@connectrpc/connect';
import sharp from 'sharp';
import { ErrorInfoSchema } from '@asset-service/contract/google/rpc/error_details_pb.js';
import { pdf, png, profileBomb } from '../test/attack/support/images.ts';
import { clientOf, upload } from '../test/e2e/support/calls.ts';

/** What the thread needs to know. */
export interface Attack {
  /** Address of the service. */
  readonly url: string;
  /** Name of a variant that the default usage has. */
  readonly variant: string;
  /** Requests at the same time. */
  readonly callers: number;
}

const MiB = 2 ** 20;

/** Images that cost their decoder as much as they can: by time, by memory, or by being refused late. */
async function hostileImages(): Promise<readonly Buffer[]> {
  const noise = { type: 'gaussian', mean: 128, sigma: 60 } as const;
  const large = sharp({ create: { width: 6_500, height: 6_500, channels: 3, background: 'grey', noise } });
  return [
    png({ width: 16_384, height: 16_384 }),
    png({ width: 7_000, height: 7_000 }),
    png({ width: 5_000, height: 5_000, colour: 6, depth: 16, isInterlaced: true }),
    png({ width: 80, height: 60, colour: 2, depth: 8, chunks: [profileBomb(64 * MiB)] }),
    await large.jpeg({ progressive: true }).toBuffer(),
    (await large.jpeg().toBuffer()).subarray(0, 2 * MiB),
    pdf({ pages: 1, width: 3_000_000, height: 3_000_000 }),
    pdf({ pages: 10_000 }),
  ];
}

/** Why there is no variant. */
function problemOf(error: ConnectError): string {
  const info = error.findDetails(ErrorInfoSchema)[0];
  return info?.metadata['problem'] ?? info?.reason ?? Code[error.code];
}

const { url, variant, callers } = workerData as Attack;
const client = clientOf(url);
const images = await hostileImages();
parentPort!.postMessage('ready');

async function attack(): Promise<void> {
  for (let index = 0; ; index++) {
    const outcome = await upload(client, Buffer.from(images[index % images.length]!), { file: {} })
      .then(({ id }) => client.getFileUrl({ source: { case: 'fileId', value: id }, variant }))
      .then(
        () => 'made',
        (error: unknown) => problemOf(error as ConnectError),
      );
    parentPort!.postMessage(outcome);
  }
}

await Promise.all(Array.from({ length: callers }, attack));
