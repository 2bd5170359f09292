export {
  AssetClient,
  type ChangeOptions,
  createAssetClient,
  type FileUrl,
  type FileUrlOptions,
  type ListOptions,
} from './client.ts';
export type { CallHeaders, ClientHeaders } from './call-headers.ts';
export type { AssetClientOptions } from './connection-options.ts';
export type { OpenFile, ReadOptions } from './download.ts';
export type { ErrorCode, ErrorReasonName } from './error-names.ts';
export {
  AssetClientError,
  type AssetClientErrorOptions,
  type FieldViolation,
  toClientError,
} from './errors.ts';
export type { AssetFile, FileChanges, FileDescription } from './records.ts';
export type { CallOptions, RetryPolicy } from './retry.ts';
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
