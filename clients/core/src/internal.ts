/**
 * What the other client packages of this repository are made of. It changes without notice; callers use what the package itself
 * exports.
 */
export { assertIds } from './arguments.ts';
export { toFileUrl, toLegacyUrlRequest, toUrlRequest } from './file-url.ts';
export { Connection } from './connection.ts';
export { damaged, openRead } from './download.ts';
export { statusToClientError } from './errors.ts';
export { Retries, type Try } from './retry.ts';
