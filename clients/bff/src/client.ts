import {
  AssetClient,
  type AssetClientOptions,
  type AssetFile,
  type CallOptions,
  type FileUrl,
  type FileUrlOptions,
  type TokenSource,
} from '@asset-service/client-core';
import { Connection, toFileUrl, toLegacyUrlRequest } from '@asset-service/client-core/internal';
import { fileUrls, type FileUrlResult } from './file-urls.ts';
import { type NodeRequest, uploadFromRequest, type RequestUploadOptions } from './upload-from-request.ts';

/**
 * A client for a BFF (backend for frontend): {@link AssetClient}, batches of URLs, and uploads from a browser's
 * request. Keep one client for the process and call {@link forUser} for each request.
 */
export class BffClient extends AssetClient {
  /**
   * A client for one end user over the same connection. It is cheap and need not be closed. The token is the user's
   * access token.
   */
  forUser(userToken: TokenSource): BffClient {
    return new BffClient(this.connection.forUser(userToken));
  }

  /** The URLs of many files, in the order of `ids`: each result has a URL or an error. */
  fileUrls(ids: readonly string[], options: FileUrlOptions & CallOptions = {}): Promise<FileUrlResult[]> {
    return fileUrls(
      (requests) => this.call(options, (call) => this.rpc.batchGetFileUrls({ requests }, call)),
      ids,
      options,
    );
  }

  /**
   * The URL of a file of the old system by its path there: a key of the old bucket, a path of PocketBase's files, or a whole
   * URL of either. Each use is counted, so that the operators see who still needs it.
   */
  async urlForLegacyPath(path: string, options: FileUrlOptions & CallOptions = {}): Promise<FileUrl> {
    const request = toLegacyUrlRequest(path, options);
    return toFileUrl(await this.call(options, (call) => this.rpc.getFileUrl(request, call)));
  }

  /**
   * Uploads the body of a request as it arrives, without buffering it. The upload ends if the browser disconnects.
   * The browser declares size and type, and the service checks them; the name is in the header `x-file-name`
   * (percent-encoded UTF-8). `options` sets owner and usage.
   */
  uploadFromRequest(request: NodeRequest | Request, options: RequestUploadOptions = {}): Promise<AssetFile> {
    return uploadFromRequest(this, request, options);
  }
}

/** Creates a client for a BFF. It connects with the first call. */
export function createBffClient(options: AssetClientOptions): BffClient {
  return new BffClient(new Connection(options));
}
