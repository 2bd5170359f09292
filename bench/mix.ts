/**
 * What list, URL and upload cost as the catalog grows: `npm run bench:mix`.
 *
 * For each catalog and number of records, CPU time per call of the service, the catalog and the store, and the calls per
 * second of a mix of all three. The sizes take turns within each round, so that other work on the machine meets all of
 * them alike. Prints the tables of docs/capacity.md. Records are written straight into the catalog.
 */
import { parseArgs } from 'node:util';
import { create, toBinary } from '@bufbuild/protobuf';
import {
  GetFileUrlRequestSchema,
  GetFileUrlResponseSchema,
  ListFilesRequestSchema,
  ListFilesResponseSchema,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { s3Env } from '../test/e2e/support/setups.ts';
import { startSeaweedFS } from '../test/support/seaweedfs.ts';
import { startService, type Service } from '../test/support/service.ts';
import { createBucket } from '../test/support/shared-servers.ts';
import { buildService } from './build.ts';
import { contentOf } from './content.ts';
import { LeanClient } from './lean-client.ts';
import { MIX_CATALOGS, ownersOf, type MixCatalog } from './mix-catalogs.ts';
import { treeCpuSeconds } from './usage.ts';

const { values } = parseArgs({
  options: {
    sizes: { type: 'string', default: '1000,10000,100000' },
    catalogs: { type: 'string', default: Object.keys(MIX_CATALOGS).join(',') },
    rounds: { type: 'string', default: '4' },
    calls: { type: 'string', default: '200' },
    in: { type: 'string', default: '16' },
  },
});
const sizes = values.sizes.split(',').map(Number);
const [rounds, calls, inFlight] = [values.rounds, values.calls, values.in].map(Number) as [
  number,
  number,
  number,
];

const PAGE_SIZE = 50;
const UPLOAD = contentOf(16 * 1024);
/** Files whose URLs are asked for. */
const KNOWN_FILES = 500;
/** Calls of the mix, by kind: what a page of a product asks for while it is used. */
const MIX = ['url', 'url', 'url', 'url', 'url', 'url', 'list', 'list', 'list', 'upload'] as const;
/** Calls of the mix before the measurement: the first of a process cost more. */
const WARM_UP_CALLS = 2_000;

const NAMES = {
  url: 'GetFileUrl',
  list: `ListFiles, ${PAGE_SIZE} of an owner`,
  upload: 'Upload, 16 KiB',
  mix: '6 GetFileUrl, 3 ListFiles, 1 Upload',
} as const;

type Kind = (typeof MIX)[number];
/** CPU seconds. */
type Cost = Readonly<Record<'service' | 'catalog' | 'store', number>>;

/** A service on a catalog of some size, and what was measured there. */
interface Candidate {
  readonly records: number;
  /** On disk, with the indexes. */
  readonly bytesPerRecord: number;
  readonly service: Service;
  readonly catalog: MixCatalog;
  readonly client: LeanClient;
  readonly call: Readonly<Record<Kind, () => Promise<unknown>>>;
  readonly costs: Map<Kind | 'mix', Cost[]>;
  mixSeconds: number;
}

/** Printed after the table. */
const notes: string[] = [];

await buildService();
const store = await startSeaweedFS();
const alive = setInterval(() => undefined, 1_000);
try {
  const heads = [
    'catalog',
    'records',
    'call',
    'service',
    'PostgreSQL or PocketBase',
    'SeaweedFS',
    'all',
    'calls/s',
  ];
  print(heads);
  print(heads.map((_head, index) => (index < 1 || index === 2 ? '---' : '--:')));
  for (const name of values.catalogs.split(',')) {
    const candidates: Candidate[] = [];
    try {
      for (const records of sizes) candidates.push(await prepare(name, records));
      for (let round = 0; round < rounds; round++) {
        for (const candidate of round % 2 === 0 ? candidates : candidates.toReversed())
          await measure(candidate);
      }
      for (const candidate of candidates) report(name, candidate);
    } finally {
      for (const { client, service, catalog } of candidates) {
        client.close();
        await service.dispose();
        await catalog.dispose();
      }
    }
  }
  process.stdout.write(`\n${notes.join('\n')}\n`);
} finally {
  await store.kill();
  await store.dispose();
  clearInterval(alive);
}

async function prepare(name: string, records: number): Promise<Candidate> {
  const start = MIX_CATALOGS[name];
  if (!start) throw new Error(`--catalogs: ${name} is none of ${Object.keys(MIX_CATALOGS).join(', ')}`);
  const catalog = await start();
  const env = {
    ...s3Env(await createBucket(store)),
    ...catalog.env,
    ...{ ASSET_LOG_LEVEL: 'warn', ASSET_HEALTH_INTERVAL: '25', ASSET_SWEEP_INTERVAL: '3600' },
    ...{ ASSET_LIMIT_READS: '0', ASSET_LIMIT_WRITES: '0' },
  };
  // The first one makes the tables and the record that is repeated.
  const first = await startService(env, { built: true });
  const writer = new LeanClient(first.url);
  await writer.upload(UPLOAD, { name: 'seed.bin', owner: 'owner0' });
  writer.close();
  await first.dispose();
  await catalog.seed(records);
  const bytesPerRecord = Math.round((await catalog.bytes()) / records);

  const service = await startService(env, { built: true });
  const client = new LeanClient(service.url);
  const owner = () => `owner${Math.floor(Math.random() * ownersOf(records))}`;
  const list = () => {
    const request = create(ListFilesRequestSchema, { pageSize: PAGE_SIZE, filter: { owner: owner() } });
    const bytes = toBinary(ListFilesRequestSchema, request);
    return client.unary('asset.v1.AssetService/ListFiles', bytes, ListFilesResponseSchema);
  };

  const ids: string[] = [];
  while (ids.length < KNOWN_FILES) ids.push(...(await list()).files.map(({ id }) => id));
  const call = {
    list,
    url: () => {
      const value = ids[Math.floor(Math.random() * ids.length)]!;
      const request = create(GetFileUrlRequestSchema, { source: { case: 'fileId', value } });
      const bytes = toBinary(GetFileUrlRequestSchema, request);
      return client.unary('asset.v1.AssetService/GetFileUrl', bytes, GetFileUrlResponseSchema);
    },
    upload: () => client.upload(UPLOAD, { name: 'mix.bin', owner: owner() }),
  };
  const candidate = {
    records,
    bytesPerRecord,
    service,
    catalog,
    client,
    call,
    costs: new Map(),
    mixSeconds: 0,
  };
  await inParallel(WARM_UP_CALLS, (index) => call[MIX[index % MIX.length]!]());
  return candidate;
}

/** One round: each kind of call for itself, then all mixed. */
async function measure(candidate: Candidate): Promise<void> {
  const { call, costs } = candidate;
  const add = (kind: Kind | 'mix', cost: Cost) => costs.set(kind, [...(costs.get(kind) ?? []), cost]);
  for (const kind of ['url', 'list', 'upload'] as const) {
    add(kind, await costOf(candidate, () => inParallel(calls, () => call[kind]())));
  }
  const started = performance.now();
  add('mix', await costOf(candidate, () => inParallel(calls, (index) => call[MIX[index % MIX.length]!]())));
  candidate.mixSeconds += (performance.now() - started) / 1_000;
}

async function costOf({ service, catalog }: Candidate, work: () => Promise<void>): Promise<Cost> {
  const look = () => ({
    service: treeCpuSeconds(service.pid!),
    catalog: treeCpuSeconds(catalog.pid()),
    store: treeCpuSeconds(store.pid!),
  });
  const before = look();
  await work();
  const after = look();
  return {
    service: after.service - before.service,
    catalog: after.catalog - before.catalog,
    store: after.store - before.store,
  };
}

async function inParallel(count: number, call: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < count) await call(next++);
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
}

function report(catalog: string, { records, bytesPerRecord, costs, mixSeconds }: Candidate): void {
  const total = rounds * calls;
  for (const kind of ['url', 'list', 'upload', 'mix'] as const) {
    const sum = (part: keyof Cost) => costs.get(kind)!.reduce((all, cost) => all + cost[part], 0);
    const parts = (['service', 'catalog', 'store'] as const).map(sum);
    const micros = [...parts, parts[0]! + parts[1]! + parts[2]!].map((seconds) =>
      String(Math.round((seconds / total) * 1e6)),
    );
    const speed = kind === 'mix' ? String(Math.round(total / mixSeconds)) : '';
    print([catalog, records.toLocaleString('en'), NAMES[kind], ...micros, speed]);
  }
  notes.push(`${catalog}, ${records.toLocaleString('en')} records: ${bytesPerRecord} bytes on disk each`);
}

function print(cells: readonly string[]): void {
  process.stdout.write(`| ${cells.join(' | ')} |\n`);
}
