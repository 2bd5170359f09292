export { BffClient, createBffClient } from './client.ts';
export * from '@asset-service/client-core';
export { directUploadHandler, type DirectUploadOptions, type UploadCaller } from './direct-uploads.ts';
export type { FileUrlResult } from './file-urls.ts';
export { legacyFileHandler, type LegacyFileOptions, type LegacyUrls } from './legacy-files.ts';
export type { NodeRequest, RequestUploadOptions } from './upload-from-request.ts';
