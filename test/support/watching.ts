import type { CallOptions } from '@connectrpc/connect';
import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  FileEventType,
  type FileEvent,
  type WatchFilesRequestSchema,
  type WatchFilesResponse,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import type { AssetClient } from '../e2e/support/calls.ts';
import { eventually } from './eventually.ts';

/** A request of WatchFiles. */
export type WatchRequest = Exclude<
  MessageInitShape<typeof WatchFilesRequestSchema>,
  { readonly $typeName: string }
>;

/** A running call of WatchFiles that is read to the end. */
export interface Watching extends AsyncDisposable {
  /** The messages received so far. */
  readonly messages: readonly WatchFilesResponse[];
  /** The events among them. */
  readonly events: readonly FileEvent[];
  /** Settles with the error that ended the call. */
  readonly ended: Promise<unknown>;
  /** Waits until `check` returns true. */
  until(check: (watching: Watching) => boolean): Promise<void>;
  /** Cancels the call. */
  stop(): Promise<void>;
}

/** Begins to watch; resolves with the first message, so that all later changes are seen. */
export async function watch(
  client: AssetClient,
  request: WatchRequest,
  { headers = {} }: CallOptions = {},
): Promise<Watching> {
  const stop = new AbortController();
  const messages: WatchFilesResponse[] = [];
  const events: FileEvent[] = [];
  let first = () => undefined as void;
  const begun = new Promise<void>((resolve) => (first = resolve));
  const ended = (async () => {
    for await (const message of client.watchFiles(request, { signal: stop.signal, headers })) {
      messages.push(message);
      if (message.kind.case === 'event') events.push(message.kind.value);
      first();
    }
    throw new Error('the watch ended without an error');
  })().catch((error: unknown) => error);
  const failed = await Promise.race([begun, ended]);
  if (failed !== undefined) throw failed as Error;
  const watching: Watching = {
    ...{ messages, events, ended },
    until: (check) =>
      eventually(() => {
        if (!check(watching))
          throw new Error(`after ${messages.length} messages: ${told(events).join(', ')}`);
      }),
    async stop() {
      stop.abort();
      await ended;
    },
    async [Symbol.asyncDispose]() {
      await watching.stop();
    },
  };
  return watching;
}

/** Reads until the existing files are done; returns all messages. */
export async function existing(
  client: AssetClient,
  request: WatchRequest,
  options: CallOptions = {},
): Promise<WatchFilesResponse[]> {
  await using watching = await watch(client, request, options);
  await watching.until(({ messages }) => messages.some(isDone));
  return watching.messages.slice(0, watching.messages.findIndex(isDone) + 1);
}

/** True for the checkpoint at the end of the existing files. */
export function isDone({ kind }: WatchFilesResponse): boolean {
  return kind.case === 'checkpoint' && kind.value.existingDone;
}

/** Events as texts, such as `CREATED report.pdf`. */
export function told(events: readonly FileEvent[]): string[] {
  return events.map(({ type, file }) => `${FileEventType[type]} ${file!.name}`);
}
