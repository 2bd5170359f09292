import {
  BatchGetFileUrlsRequestSchema,
  BatchGetFileUrlsResponseSchema,
  DeleteFileRequestSchema,
  DeleteFileResponseSchema,
  GetFileRequestSchema,
  GetFileResponseSchema,
  GetFileUrlRequestSchema,
  GetFileUrlResponseSchema,
  ListFilesRequestSchema,
  ListFilesResponseSchema,
  UpdateMetadataRequestSchema,
  UpdateMetadataResponseSchema,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import {
  create,
  toBinary,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf';
import type { FileCatalog, FileFilter } from '../src/catalog/file-catalog.ts';
import { encodePageToken } from '../src/files/list.ts';
import { contentOf } from './content.ts';
import type { LeanClient } from './lean-client.ts';
import { albumsOf, LARGE_OWNER, smallOwnersOf } from './scale-fill.ts';

/** What is measured, by name. A call through the service, or one of the sweeper and of watchers to the catalog. */
export type Work = Readonly<Record<string, () => Promise<unknown>>>;

const PAGE_SIZE = 50;
const IDS_PER_BATCH = 100;
const CHANGES_PER_READ = 500;
const UPLOAD = contentOf(16 * 1024);

/** What is in a catalog. */
export interface ScaleSample {
  readonly records: number;
  /** Ids of files that are there. */
  readonly ids: readonly string[];
  /** First and last time of creation. */
  readonly times: readonly [number, number];
  readonly hasRelations: boolean;
}

/** Takes some thousand files from all over a catalog. */
export async function sampleOf(catalog: FileCatalog, records: number): Promise<ScaleSample> {
  const files = [];
  for (let i = 0; i < 100; i++) files.push(...(await catalog.exportFiles(randomId(), 50)));
  const there = files.map(({ record }) => record).filter(({ deleteTime }) => deleteTime === undefined);
  const times = there.map(({ createTime }) => createTime.getTime());
  return {
    ...{ records, ids: there.map(({ id }) => id), times: [Math.min(...times), Math.max(...times)] },
    hasRelations: there.some(({ relations }) => Object.keys(relations).length > 0),
  };
}

/** The calls of callers. */
export function callsOf(
  client: LeanClient,
  { records, ids, times: [first, last], hasRelations }: ScaleSample,
): Work {
  const random = (count: number) => Math.floor(Math.random() * count);
  const anyId = () => ids[random(ids.length)]!;
  const owner = () => `owner${random(smallOwnersOf(records))}`;
  const unary = <I extends DescMessage, O extends DescMessage>(
    method: string,
    [input, output]: readonly [I, O],
    request: MessageInitShape<I>,
  ): Promise<MessageShape<O>> =>
    client.unary(`asset.v1.AssetService/${method}`, toBinary(input, create(input, request)), output);
  const list = (filter: Pick<FileFilter, 'owner' | 'usage' | 'contentType' | 'relation'>, at?: number) => {
    const cursor =
      at === undefined ? undefined : { createTime: new Date(first + (last - first) * at), id: 'm' };
    return unary('ListFiles', [ListFilesRequestSchema, ListFilesResponseSchema], {
      ...{ pageSize: PAGE_SIZE, filter, pageToken: cursor ? encodePageToken(cursor, filter, false) : '' },
    });
  };
  const url = [GetFileUrlRequestSchema, GetFileUrlResponseSchema] as const;
  const upload = () => client.upload(UPLOAD, { name: 'scale.bin', owner: owner() });
  const album = () => ({ relation: { name: 'album', id: `album${random(albumsOf(records))}` } });
  const calls: Work = {
    GetFile: () => unary('GetFile', [GetFileRequestSchema, GetFileResponseSchema], { fileId: anyId() }),
    GetFileUrl: () => unary('GetFileUrl', url, { source: { case: 'fileId', value: anyId() } }),
    'BatchGetFileUrls of 100': () =>
      unary('BatchGetFileUrls', [BatchGetFileUrlsRequestSchema, BatchGetFileUrlsResponseSchema], {
        requests: Array.from({ length: IDS_PER_BATCH }, () => ({
          source: { case: 'fileId' as const, value: anyId() },
        })),
      }),
    'ListFiles, first page': () => list({}),
    'ListFiles, page in the middle': () => list({}, 0.2 + Math.random() * 0.6),
    'ListFiles of an owner': () => list({ owner: owner() }),
    'ListFiles of a large owner': () => list({ owner: LARGE_OWNER }),
    'ListFiles of a large owner, page in the middle': () => list({ owner: LARGE_OWNER }, Math.random()),
    'ListFiles by usage': () => list({ usage: 'document' }, Math.random()),
    'ListFiles by rare usage': () => list({ usage: 'contract' }, Math.random()),
    'ListFiles by content type': () => list({ contentType: 'image/png' }, Math.random()),
    'ListFiles by rare content type': () => list({ contentType: 'model/gltf-binary' }, Math.random()),
    'ListFiles by kind of content': () => list({ contentType: 'image/*' }, Math.random()),
    'ListFiles by relation': () => list(album()),
    'ListFiles of an owner by usage': () => list({ owner: LARGE_OWNER, usage: 'contract' }),
    'ListFiles of a large owner by relation': () => list({ owner: LARGE_OWNER, ...album() }),
    'ListFiles of a large owner by rare content type': () =>
      list({ owner: LARGE_OWNER, contentType: 'model/gltf-binary' }),
    'Upload, 16 KiB': upload,
    UpdateMetadata: () =>
      unary('UpdateMetadata', [UpdateMetadataRequestSchema, UpdateMetadataResponseSchema], {
        file: { id: anyId(), name: `renamed-${random(1e9)}.jpg` },
        updateMask: { paths: ['name'] },
      }),
    DeleteFile: async () => {
      const { id } = await upload();
      return unary('DeleteFile', [DeleteFileRequestSchema, DeleteFileResponseSchema], { fileId: id });
    },
  };
  if (hasRelations) return calls;
  return Object.fromEntries(Object.entries(calls).filter(([name]) => !name.includes('relation')));
}

/** What the sweeper, watchers, moves and quotas ask of the catalog. */
export async function catalogWorkOf(catalog: FileCatalog): Promise<Work> {
  const earliest = await catalog.changes.position('earliest');
  const { cursor } = await catalog.changes.read(earliest, CHANGES_PER_READ);
  let at = cursor;
  return {
    'sweep: files to purge, 100': () => catalog.listPurgeable(new Date(), 100),
    'sweep: one file purged': async () => {
      const [due] = await catalog.listPurgeable(new Date(), 1);
      if (due) await catalog.purge(due.id, due.revision);
    },
    'sweep: holds that are past': () => catalog.uploads.takeClosed(new Date(), 100),
    'sweep: 500 changes trimmed': () => catalog.changes.trim(new Date(), CHANGES_PER_READ),
    'watch: position now': () => catalog.changes.position('now'),
    'watch: position earliest': () => catalog.changes.position('earliest'),
    'watch: 500 changes read': async () => {
      const page = await catalog.changes.read(at, CHANGES_PER_READ).catch(() => undefined);
      at = page === undefined ? await catalog.changes.position('earliest') : page.cursor;
    },
    'watch: lag': () => catalog.changes.lag(),
    'quota: sums of an owner': () => catalog.totalsOf(`owner${Math.floor(Math.random() * 1000)}`, undefined),
    'quota: sums of a large owner': () => catalog.totalsOf(LARGE_OWNER, undefined),
    'health: check': () => catalog.check(),
    'health: inspect': () => catalog.inspect({ relations: [], usages: [] }),
    'retry: file by request key': () => catalog.findByRequestKey('worker:unknown'),
    'move: 500 records exported': () => catalog.exportFiles(randomId(), 500),
  };
}

function randomId(): string {
  return Math.random().toString(16).slice(2, 14);
}
