import { create, fromBinary, toBinary, type DescMessage, type MessageInitShape } from '@bufbuild/protobuf';
import { AssetService, UploadResponseSchema } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { GrpcCaller } from './grpc/grpc-caller.ts';

/** Calls at the same time, so that the event loop works as under load. */
const LANES = 16;

const CONTENT = Buffer.alloc(1_000, 'warm up');

const encoded = <Desc extends DescMessage>(schema: Desc, init: MessageInitShape<Desc>): Uint8Array =>
  toBinary(schema, create(schema, init));

/**
 * Makes calls of the usual kinds, also wrong ones, to a service of this process without identities, until `deadline` by
 * `performance.now()`.
 *
 * @returns number of calls
 */
export async function makeWarmUpCalls(url: string, deadline: number): Promise<number> {
  const caller = new GrpcCaller(url);
  const { method, typeName } = AssetService;
  const path = ({ name }: { readonly name: string }) => `${typeName}/${name}`;
  const spec = { file: { name: 'a', owner: 'b', usage: 'c' }, sizeBytes: BigInt(CONTENT.length) };
  const upload = encoded(method.upload.input, {
    firstMessage: { case: 'uploadSpec', value: spec },
    data: { content: CONTENT },
    finishWrite: true,
  });
  const uploadOne = async () => {
    const answer = await caller.call(path(method.upload), upload);
    const { value } = fromBinary(UploadResponseSchema, answer ?? new Uint8Array()).writeStatus;
    return typeof value === 'object' ? value.id : '';
  };
  try {
    const fileId = await uploadOne();
    const source = { case: 'fileId', value: fileId } as const;
    const requests: readonly (readonly [string, Uint8Array])[] = [
      [path(method.getFileUrl), encoded(method.getFileUrl.input, { source })],
      [path(method.getFile), encoded(method.getFile.input, { fileId })],
      [path(method.getFileUrl), encoded(method.getFileUrl.input, { source, downloadName: 'a.txt' })],
      [path(method.listFiles), encoded(method.listFiles.input, { filter: { owner: 'b' }, pageSize: 2 })],
      [path(method.getFileUrl), encoded(method.getFileUrl.input, { source })],
      [path(method.batchGetFileUrls), encoded(method.batchGetFileUrls.input, { requests: [{ source }] })],
      // No such file; not an id.
      [path(method.getFile), encoded(method.getFile.input, { fileId: 'a'.repeat(15) })],
      [path(method.getFile), encoded(method.getFile.input, { fileId: '?' })],
    ];
    let calls = 1;
    const lane = async (_none: unknown, first: number) => {
      // Each call at least once, however slow the machine is.
      for (let turn = first; turn === first || performance.now() < deadline; turn += 1) {
        calls += 1;
        // An upload writes to the disk, which takes long.
        if (turn % 32 === 0) await uploadOne();
        else await caller.call(...requests[turn % requests.length]!);
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    return calls;
  } finally {
    caller.close();
  }
}
