import { AssetService, UploadTransport } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import type { File as AssetFile } from '@asset-service/contract/asset/v1/file_pb.js';
import { FileSchema } from '@asset-service/contract/asset/v1/file_pb.js';
import { create, type JsonObject } from '@bufbuild/protobuf';
import { createClient, type Client, type Transport } from '@connectrpc/connect';
import { UploadError } from './errors.ts';
import { withRetries } from './retries.ts';

/** What a page says of a file. A BFF may replace any of it, and sets the owner. */
export interface FileDescription {
  /** Default: the name of the file. */
  readonly name?: string | undefined;
  /** Media type. Default: that of the file; the service detects it if there is none. */
  readonly contentType?: string | undefined;
  readonly owner?: string | undefined;
  readonly usage?: string | undefined;
  /** Target ids by name of the relation. */
  readonly relations?: Readonly<Record<string, readonly string[]>> | undefined;
  readonly attributes?: JsonObject | undefined;
}

/** A begun upload, or the file that it has become. */
export interface Standing {
  readonly uploadId: string;
  readonly partSizeBytes: number;
  readonly stored: readonly number[];
  readonly file: AssetFile | undefined;
}

/** The calls of one upload, with retries. */
export class Calls {
  readonly #rpc: Client<typeof AssetService>;
  readonly #options: { readonly signal: AbortSignal; readonly retries: number };

  constructor(transport: Transport, options: { readonly signal: AbortSignal; readonly retries: number }) {
    this.#rpc = createClient(AssetService, transport);
    this.#options = options;
  }

  /** Begins an upload, or finds that of the same request id and what of it is stored. */
  async begin(file: FileDescription, sizeBytes: number, requestId: string): Promise<Standing> {
    const { relations = {}, name = '', contentType = '', owner = '', usage = '', attributes } = file;
    const message = create(FileSchema, {
      ...{ name, contentType, owner, usage, ...(attributes && { attributes }) },
      relations: Object.fromEntries(Object.entries(relations).map(([key, ids]) => [key, { ids: [...ids] }])),
    });
    const uploadSpec = { file: message, sizeBytes: BigInt(sizeBytes), requestId };
    const request = { uploadSpec, transport: UploadTransport.DIRECT };
    const { uploadId } = await this.#call((call) => this.#rpc.startUpload(request, call));
    return this.standing(uploadId);
  }

  /** How far an upload is. */
  async standing(uploadId: string): Promise<Standing> {
    const status = await this.#call((call) => this.#rpc.getUpload({ uploadId }, call));
    const { writeStatus, partSizeBytes, storedPartNumbers } = status;
    const file = writeStatus.case === 'file' ? writeStatus.value : undefined;
    return { uploadId, file, partSizeBytes: Number(partSizeBytes), stored: storedPartNumbers };
  }

  /** URLs for parts. */
  async sign(uploadId: string, partNumbers: readonly number[]) {
    const request = { uploadId, partNumbers: [...partNumbers] };
    return (await this.#call((call) => this.#rpc.signUploadParts(request, call))).parts;
  }

  /** Makes the upload a file, if its bytes have this SHA-256. */
  async complete(uploadId: string, sha256: Uint8Array<ArrayBuffer> | undefined): Promise<AssetFile> {
    const request = { uploadId, ...(sha256 && { checksums: { sha256 } }) };
    const { file } = await this.#call((call) => this.#rpc.completeUpload(request, call));
    if (file === undefined) throw new UploadError('internal', 'the service answered without a file');
    return file;
  }

  /** Removes the upload, with a signal of its own: that of the upload is aborted. */
  async cancel(uploadId: string): Promise<void> {
    await this.#rpc.cancelUpload({ uploadId }, { signal: AbortSignal.timeout(10_000) });
  }

  #call<T>(make: (call: { readonly signal: AbortSignal }) => Promise<T>): Promise<T> {
    return withRetries(() => make({ signal: this.#options.signal }), this.#options);
  }
}
