import type { S3Client } from '@aws-sdk/client-s3';
import { toldRequest } from '../../system/requests.ts';

/** Tells each request that the SDK sends, by the name of its command. */
export function tellRequests(client: S3Client): void {
  client.middlewareStack.add(
    (next, { commandName = 'request' }) =>
      (args) =>
        toldRequest({ system: 's3', name: commandName.replace(/Command$/, '') }, () => next(args)),
    { step: 'finalizeRequest', name: 'tellRequests' },
  );
}
