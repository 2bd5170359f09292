import type { WatchStart } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import type { File } from '@asset-service/contract/asset/v1/file_pb.js';
import { upload, type AssetClient } from '../../e2e/support/calls.ts';

const content = new Uint8Array(Buffer.from('some text'));

/** A request of WatchFiles that starts at a place. */
export const from = (start: WatchStart) => ({ start: { case: 'from', value: start } }) as const;

/** A request of WatchFiles that continues after a cursor. */
export const after = (cursor: string) => ({ start: { case: 'cursor', value: cursor } }) as const;

/** Uploads a small text file. */
export const make = (client: AssetClient, name: string, file = {}): Promise<File> =>
  upload(client, content, { file: { name, ...file } });
