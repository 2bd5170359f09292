export { AssetClient, createAssetClient } from './client.ts';
export type { CallHeaders, ClientHeaders } from './call-headers.ts';
export type { AssetClientOptions } from './connection-options.ts';
export type { DownloadBytesOptions, DownloadedBytes, OpenFile, ReadOptions } from './download.ts';
export type { ErrorCode, ErrorReasonName } from './error-names.ts';
export {
  AssetClientError,
  type AssetClientErrorOptions,
  type FieldViolation,
  toClientError,
} from './errors.ts';
export type { FileUrl, FileUrlOptions } from './file-url.ts';
export { httpStatus } from './http-status.ts';
export type { FileFilter, FilePage, ListOptions, PageOptions } from './list.ts';
export type { FileResult, ManyOptions } from './many.ts';
export type { AssetFile, FileChanges, FileDescription } from './records.ts';
export type { CallOptions, ChangeOptions, RetryPolicy } from './retry.ts';
export type { ByteSource, ByteStream, UploadSource } from './source.ts';
export {
  cachedToken,
  clientCredentials,
  type ClientCredentials,
  type IssuedToken,
  type TokenSource,
} from './tokens.ts';
export type { UploadProgress } from './progress.ts';
export type { ResumeOptions, UploadOptions } from './upload.ts';
export type { AppendedUpload, AppendOptions } from './upload-append.ts';
export type {
  CompleteUploadOptions,
  StartedUpload,
  StartUploadOptions,
  UploadPart,
  UploadParts,
  UploadStatus,
} from './upload-sessions.ts';
export type { ParkedEvent, ReplayOptions, Subscription } from './subscriptions.ts';
export type { FileChange, FileEvent, WatchCheckpoint, WatchOptions } from './watch.ts';
export type { UploadFilesOptions, UploadItem, UploadResult } from './upload-many.ts';
