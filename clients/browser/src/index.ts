export type { FileDescription } from './calls.ts';
export { UploadError } from './errors.ts';
export { hashWorker, type WorkerSource } from './hash.ts';
export { uploadFile } from './upload-file.ts';
export type { UploadFileOptions, UploadProgress } from './upload-options.ts';
export type { File as AssetFile } from '@asset-service/contract/asset/v1/file_pb.js';
