import {
  BatchGetFileUrlsRequestSchema,
  BatchGetFileUrlsResponseSchema,
  GetFileUrlRequestSchema,
  GetFileUrlResponseSchema,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { HealthCheckResponseSchema } from '@asset-service/contract/grpc/health/v1/health_pb.js';
import { create, toBinary } from '@bufbuild/protobuf';
import pLimit from 'p-limit';
import { contentOf } from './content.ts';
import { LeanClient } from './lean-client.ts';
import * as tus from './tus-peers.ts';
import * as uploaders from './uploaders.ts';
import type { Missing } from './uploaders.ts';
import type { World } from './world.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

/** One of the compared ways to do the work of a case. */
export interface Contestant {
  readonly name: string;
  /** Process ids of the server whose CPU time and memory are measured; empty if there is none. */
  readonly serverPids: readonly number[];
  /** Does an amount of work, in units of the case. */
  run(amount: number): Promise<void>;
  close(): void | Promise<void>;
}

/** A kind of work and its contestants. */
export interface Case {
  /** Short id for the command line. */
  readonly id: string;
  readonly title: string;
  /** The unit of work. Bytes are shown as MiB and GiB. */
  readonly unit: 'byte' | 'file' | 'call' | 'URL';
  /** Work of one run, in units. */
  readonly amount: number;
  /** Work of one run with --quick. */
  readonly quickAmount: number;
  readonly rounds: number;
  /** Start of the name of the contestant that the others are compared with. */
  readonly baseline: string;
  /** Starts the contestants. */
  open(world: World): Promise<readonly (Contestant | Missing)[]>;
}

/** All cases, in the order of the tables. */
export const CASES: readonly Case[] = [
  {
    id: 'large',
    title: 'One file of 1 GiB',
    unit: 'byte',
    amount: 1024 * MiB,
    quickAmount: 24 * MiB,
    rounds: 3,
    baseline: '@aws-sdk/lib-storage',
    open: uploadsOf(
      (bytes) => ({ files: 1, sizeBytes: bytes, inFlight: 1 }),
      [
        ...[uploaders.throughService, uploaders.throughWorkerClient, uploaders.byLibStorage],
        ...[tus.byTusd, tus.byTusJsClient, tus.byTusServer],
      ],
    ),
  },
  {
    id: 'parallel',
    title: '16 files of 64 MiB at once',
    unit: 'byte',
    amount: 16 * 64 * MiB,
    quickAmount: 16 * MiB,
    rounds: 3,
    baseline: '@aws-sdk/lib-storage',
    open: uploadsOf(
      (bytes) => ({ files: 16, sizeBytes: bytes / 16, inFlight: 16 }),
      [uploaders.throughService, uploaders.byLibStorage, tus.byTusd],
    ),
  },
  {
    id: 'far',
    title: 'One file of 256 MiB, 20 ms away each way',
    unit: 'byte',
    amount: 256 * MiB,
    quickAmount: 8 * MiB,
    rounds: 3,
    baseline: 'Asset Service, Connect',
    open: uploadsOf(
      (bytes) => ({ files: 1, sizeBytes: bytes, inFlight: 1 }),
      [uploaders.throughDelay, uploaders.byConnectHttp1],
    ),
  },
  {
    id: 'small',
    title: '2,000 files of 16 KiB, 32 in flight',
    unit: 'file',
    amount: 2000,
    quickAmount: 64,
    rounds: 3,
    baseline: 'PutObject, then',
    open: uploadsOf(
      (files) => ({ files, sizeBytes: 16 * KiB, inFlight: 32 }),
      [
        ...[uploaders.throughService, uploaders.throughTwoProcesses],
        ...[uploaders.byPutAndRecord, uploaders.byPocketBaseForm, tus.byTusd],
      ],
    ),
  },
  {
    id: 'url',
    title: 'GetFileUrl, 32 in flight',
    unit: 'call',
    amount: 20_000,
    quickAmount: 100,
    rounds: 3,
    baseline: 'Empty unary call',
    open: async (world) => {
      const { client, fileIds, serverPids } = await withFiles(world);
      const close = () => client.close();
      return [
        {
          ...{ name: 'GetFileUrl', serverPids, close },
          run: (amount) =>
            inParallel(amount, 32, (index) => getUrl(client, fileIds[index % fileIds.length]!)),
        },
        {
          ...{ name: 'Empty unary call (grpc.health.v1 Check)', serverPids, close },
          run: (amount) => inParallel(amount, 32, () => checkHealth(client)),
        },
      ];
    },
  },
  {
    id: 'urls',
    title: 'BatchGetFileUrls, 100 URLs a call, 4 in flight',
    unit: 'URL',
    amount: 16_000,
    quickAmount: 400,
    rounds: 3,
    baseline: 'GetFileUrl',
    open: async (world) => {
      const { client, fileIds, serverPids } = await withFiles(world);
      const close = () => client.close();
      return [
        {
          ...{ name: 'BatchGetFileUrls', serverPids, close },
          run: (amount) => inParallel(amount / fileIds.length, 4, () => getUrls(client, fileIds)),
        },
        {
          ...{ name: 'GetFileUrl, one URL a call', serverPids, close },
          run: (amount) =>
            inParallel(amount, 32, (index) => getUrl(client, fileIds[index % fileIds.length]!)),
        },
      ];
    },
  },
];

/** True for a contestant, false for one that is missing. */
export function takesPart(opened: Contestant | Missing): opened is Contestant {
  return !('missing' in opened);
}

/** Contestants that upload. `plan` returns the files for an amount of work. */
function uploadsOf(
  plan: (amount: number) => { files: number; sizeBytes: number; inFlight: number },
  openers: readonly uploaders.OpenUploader[],
): Case['open'] {
  return async (world) => {
    const contestants: (Contestant | Missing)[] = [];
    for (const open of openers) {
      const uploader = await open(world);
      if ('missing' in uploader) {
        contestants.push(uploader);
        continue;
      }
      const run = async (amount: number) => {
        const { files, sizeBytes, inFlight } = plan(amount);
        await inParallel(files, inFlight, () => uploader.upload(contentOf(sizeBytes)));
      };
      const { name, serverPids, close } = uploader;
      contestants.push({ name, serverPids, run, close });
    }
    return contestants;
  };
}

/** Runs `work` `times` times, with limited concurrency. */
async function inParallel(times: number, inFlight: number, work: (index: number) => Promise<void>) {
  const limit = pLimit(inFlight);
  await Promise.all(Array.from({ length: times }, (_, index) => limit(() => work(index))));
}

/** A client and the ids of a hundred files that it has stored. */
async function withFiles({ service }: World) {
  const client = new LeanClient(service.url);
  const fileIds: string[] = [];
  await inParallel(100, 16, async (index) => {
    const file = { name: `report ${index}.pdf`, owner: 'bench' };
    fileIds.push((await client.upload(contentOf(KiB), file)).id);
  });
  return { client, fileIds, serverPids: [service.pid!] };
}

function urlRequest(fileId: string) {
  return create(GetFileUrlRequestSchema, { source: { case: 'fileId', value: fileId } });
}

async function getUrl(client: LeanClient, fileId: string): Promise<void> {
  const request = toBinary(GetFileUrlRequestSchema, urlRequest(fileId));
  const { url } = await client.unary('asset.v1.AssetService/GetFileUrl', request, GetFileUrlResponseSchema);
  if (url === '') throw new Error('GetFileUrl answered without a URL');
}

async function getUrls(client: LeanClient, fileIds: readonly string[]): Promise<void> {
  const requests = fileIds.map(urlRequest);
  const { results } = await client.unary(
    'asset.v1.AssetService/BatchGetFileUrls',
    toBinary(BatchGetFileUrlsRequestSchema, create(BatchGetFileUrlsRequestSchema, { requests })),
    BatchGetFileUrlsResponseSchema,
  );
  if (results.some(({ result }) => result.case !== 'response')) throw new Error('a URL is missing');
}

async function checkHealth(client: LeanClient): Promise<void> {
  await client.unary('grpc.health.v1.Health/Check', new Uint8Array(), HealthCheckResponseSchema);
}
