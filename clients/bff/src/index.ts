import {
  AssetClient,
  type AssetClientOptions,
  type AssetFile,
  type CallOptions,
  type FileUrlOptions,
  type TokenSource,
} from '@asset-service/client-core';
import { Connection } from '@asset-service/client-core/internal';
import { fileUrls, type FileUrlResult } from './file-urls.ts';
import { type NodeRequest, uploadFromRequest, type RequestUploadOptions } from './upload-from-request.ts';

export * from '@asset-service/client-core';
export type { FileUrlResult } from './file-urls.ts';
export type { NodeRequest, RequestUploadOptions } from './upload-from-request.ts';

/**
 * What a back end for a front end does with files: everything of {@link AssetClient}, URLs by the page, and uploads straight
 * from a browser's request. Keep one client for the process and call {@link forUser} for each request.
 */
export class BffClient extends AssetClient {
  /**
   * A client that calls for one person, over the same connection: it costs next to nothing and need not be closed. The
   * token is the person's access token.
   */
  forUser(userToken: TokenSource): BffClient {
    return new BffClient(this.connection.forUser(userToken));
  }

  /** The URLs of many files, in the order of `ids`; each result is a URL or the error for that file. */
  fileUrls(ids: readonly string[], options: FileUrlOptions & CallOptions = {}): Promise<FileUrlResult[]> {
    return fileUrls(
      (requests) => this.call(options, (call) => this.rpc.batchGetFileUrls({ requests }, call)),
      ids,
      options,
    );
  }

  /**
   * Uploads the raw body of a request as it comes in, without keeping it. The upload ends if the browser goes
   * away. Size and type are those that the browser declares and are checked by the service; the name is
   * taken from the header `x-file-name` (percent-encoded UTF-8). Whose the file is and what it is for is for `options` to say.
   */
  uploadFromRequest(request: NodeRequest | Request, options: RequestUploadOptions = {}): Promise<AssetFile> {
    return uploadFromRequest(this, request, options);
  }
}

/** Opens a client for a back end. Nothing is sent until the first call. */
export function createBffClient(options: AssetClientOptions): BffClient {
  return new BffClient(new Connection(options));
}
