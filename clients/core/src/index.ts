export {
  AssetClient,
  type ChangeOptions,
  createAssetClient,
  type FileUrl,
  type FileUrlOptions,
  type ListOptions,
  toFileUrl,
  toUrlRequest,
} from './client.ts';
export { Connection } from './connection.ts';
export type { AssetClientOptions } from './connection-options.ts';
export { damaged, openRead, type OpenFile, type ReadOptions } from './download.ts';
export type { ErrorCode, ErrorReasonName } from './error-names.ts';
export {
  AssetClientError,
  type AssetClientErrorOptions,
  type FieldViolation,
  statusToClientError,
  toClientError,
} from './errors.ts';
export type { AssetFile, FileChanges, FileDescription } from './records.ts';
export { type CallOptions, Retries, type RetryPolicy, type Try } from './retry.ts';
export type { ByteSource, ByteStream, UploadSource } from './source.ts';
export {
  cachedToken,
  clientCredentials,
  type ClientCredentials,
  type IssuedToken,
  type TokenSource,
} from './tokens.ts';
export type { UploadProgress } from './progress.ts';
export type { UploadOptions } from './upload.ts';
export type { UploadFilesOptions, UploadItem, UploadResult } from './upload-many.ts';
