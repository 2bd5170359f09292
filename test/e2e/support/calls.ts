import { createClient, type CallOptions, type Client, type Transport } from '@connectrpc/connect';
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from '@connectrpc/connect-node';
import { AssetService, type UploadRequestSchema } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import type { Message, MessageInitShape } from '@bufbuild/protobuf';
import type { File, FileSchema } from '@asset-service/contract/asset/v1/file_pb.js';
import { createHash, randomBytes } from 'node:crypto';
import { crc32c as computeCrc32c } from '@node-rs/crc32';

/** A client of the generated contract, with nothing of the product's own around it. */
export type AssetClient = Client<typeof AssetService>;

/** What a message holds; not a view of memory that is shared. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** A message of an upload, as a caller writes it. */
export type UploadMessage = Exclude<MessageInitShape<typeof UploadRequestSchema>, Message>;

/** What a caller says of a new file. */
export type NewFile = MessageInitShape<typeof FileSchema>;

/** Every way to call the service, by name. */
export const TRANSPORTS: Readonly<Record<string, (baseUrl: string) => Transport>> = {
  gRPC: (baseUrl) => createGrpcTransport({ baseUrl }),
  'Connect over HTTP/1.1': (baseUrl) => createConnectTransport({ baseUrl, httpVersion: '1.1' }),
  'Connect over HTTP/2': (baseUrl) => createConnectTransport({ baseUrl, httpVersion: '2' }),
  'gRPC-Web over HTTP/1.1': (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: '1.1' }),
};

/** A client over gRPC, which is what services use. */
export function clientOf(baseUrl: string): AssetClient {
  return createClient(AssetService, createGrpcTransport({ baseUrl }));
}

/** The content of a file, made of `size` random bytes. */
export function randomContent(size: number): Bytes {
  return new Uint8Array(randomBytes(size));
}

/** The SHA-256 of bytes. */
export function sha256(content: Uint8Array): Bytes {
  return new Uint8Array(createHash('sha256').update(content).digest());
}

/** The CRC32C of bytes, as an unsigned number. */
export const crc32c = (content: Uint8Array): number => computeCrc32c(content);

/** How {@link upload} uploads; everything may be left out. */
export interface UploadOptions extends CallOptions {
  readonly file?: NewFile;
  readonly requestId?: string;
  /** False to leave `size_bytes` out. */
  readonly withSize?: boolean;
  /** Bytes of one message. */
  readonly chunkBytes?: number;
}

/** Uploads content in messages as a good client sends them, and returns the file. */
export async function upload(
  client: AssetClient,
  content: Bytes,
  options: UploadOptions = {},
): Promise<File> {
  return send(client, messagesOf(content, options), options);
}

/** Sends these messages and returns the file that they made. */
export async function send(
  client: AssetClient,
  messages: Iterable<UploadMessage> | AsyncIterable<UploadMessage>,
  options: CallOptions = {},
): Promise<File> {
  const { signal, timeoutMs, headers } = options;
  const given = { ...(signal && { signal }), ...(timeoutMs && { timeoutMs }), ...(headers && { headers }) };
  const { writeStatus } = await client.upload(iterate(messages), given);
  if (writeStatus.case !== 'file') throw new Error(`the upload came to ${writeStatus.case}`);
  return writeStatus.value;
}

/** The first message of an upload, with nothing but `upload_spec`. */
export function spec(
  file: NewFile = {},
  more: { sizeBytes?: bigint; requestId?: string } = {},
): UploadMessage {
  return { firstMessage: { case: 'uploadSpec', value: { file, ...more } } };
}

/** The messages of a whole upload, each with its CRC32C; the whole-file checksums come in the last. */
export function* messagesOf(content: Bytes, options: UploadOptions = {}): Generator<UploadMessage> {
  const { file = {}, requestId = '', withSize = true, chunkBytes = 512 * 1024 } = options;
  yield spec(file, { requestId, ...(withSize && { sizeBytes: BigInt(content.length) }) });
  for (let offset = 0; offset < content.length; offset += chunkBytes) {
    const piece = content.subarray(offset, offset + chunkBytes);
    yield { writeOffset: BigInt(offset), data: { content: piece, crc32c: crc32c(piece) } };
  }
  const checksums = { sha256: sha256(content), crc32c: crc32c(content) };
  yield { writeOffset: BigInt(content.length), checksums, finishWrite: true };
}

/** Reads a file through the service; checks the CRC32C of every piece on the way. */
export async function download(
  client: AssetClient,
  fileId: string,
  range: { readonly readOffset?: bigint; readonly readLimit?: bigint } = {},
  options: CallOptions = {},
): Promise<{ readonly content: Buffer; readonly files: File[] }> {
  const pieces: Uint8Array[] = [];
  const files: File[] = [];
  for await (const { data, file } of client.downloadFile({ fileId, ...range }, options)) {
    if (file) files.push(file);
    if (!data) continue;
    if (data.crc32c !== crc32c(data.content)) throw new Error('a piece does not have its CRC32C');
    pieces.push(data.content);
  }
  return { content: Buffer.concat(pieces), files };
}

/** A URL of a file. */
export async function urlOf(
  client: AssetClient,
  fileId: string,
  options: Omit<Exclude<Parameters<AssetClient['getFileUrl']>[0], { $typeName: string }>, 'source'> = {},
  call: CallOptions = {},
): Promise<string> {
  return (await client.getFileUrl({ source: { case: 'fileId', value: fileId }, ...options }, call)).url;
}

async function* iterate<T>(items: Iterable<T> | AsyncIterable<T>): AsyncGenerator<T> {
  yield* items;
}
