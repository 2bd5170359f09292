import type { UploadSpecSchema } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Connection } from './connection.ts';
import type { ProgressReporter } from './progress.ts';
import type { Retries } from './retry.ts';
import type { PreparedSource } from './source.ts';

/** What all tries of one upload share. */
export interface UploadTask {
  readonly connection: Connection;
  readonly source: PreparedSource;
  /** Description of a new upload. */
  readonly spec?: MessageInitShape<typeof UploadSpecSchema> & { readonly requestId: string };
  /** Id of an upload that was begun before. */
  readonly uploadId?: string;
  /** True if an earlier process may have begun the upload. */
  readonly mayBeBegun: boolean;
  readonly windowBytes: number;
  readonly retries: Retries;
  readonly progress: ProgressReporter;
}
