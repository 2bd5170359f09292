/**
 * What the other client packages of this repository are made of. It changes without notice; callers use what the package itself
 * exports.
 */
export { assertDuration, assertIds, assertText, assertWhole, fromArguments } from './arguments.ts';
export { toFileUrl, toLegacyUrlRequest, toUrlRequest } from './file-url.ts';
export { Connection } from './connection.ts';
export { damaged, openRead } from './download.ts';
export { messageOf, statusToClientError } from './errors.ts';
export { toFilterMessage } from './list.ts';
export { toFileDescription, toFileMessage } from './records.ts';
export { isRetriable, Retries, type Try } from './retry.ts';
export { toParkedEvents, toSubscriptions } from './subscriptions.ts';
export { toDuration, toFileChange, toWatchStart } from './watch.ts';
