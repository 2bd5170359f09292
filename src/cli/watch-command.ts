import type { FileEvent, WatchOptions, WorkerClient } from '@asset-service/worker';
import { InvalidArgumentError, type Command } from 'commander';
import { withClient, type ConnectionFlags } from './connect.ts';
import { filterFrom, withFilterOptions, type FilterFlags } from './filter-flags.ts';
import { positive } from './number-flags.ts';
import { serviceUrl } from './service-url.ts';
import { print } from './terminal.ts';

interface WatchFlags extends FilterFlags {
  readonly from?: string;
  readonly cloudevents?: true;
  readonly limit?: number;
}

const STARTS = ['now', 'earliest', 'existing'] as const;

/** Adds the command that prints changes of files. */
export function addWatchCommand(command: (usage: string, description: string) => Command): void {
  withFilterOptions(
    command(
      'watch',
      'print changes of files as they happen, one line of JSON each, until interrupted; reconnects after failures',
    ),
  )
    .option(
      '--from <start>',
      'now; earliest: from the oldest change in the log; existing: all existing files, then changes; ' +
        'or the cursor of an event: continue after it',
      'now',
    )
    .option('--limit <count>', 'end after this many events', positive)
    .option('--cloudevents', 'print CloudEvents 1.0 in JSON (structured mode)')
    .action((flags: ConnectionFlags & WatchFlags) =>
      withClient(flags, (client, signal) => watch(client, flags, signal)),
    );
}

async function watch(
  client: WorkerClient,
  flags: ConnectionFlags & WatchFlags,
  signal: AbortSignal,
): Promise<void> {
  const format = flags.cloudevents
    ? await cloudEvents(new URL(serviceUrl(flags.url, flags.ca !== undefined)).origin)
    : JSON.stringify;
  const events = client.watchFiles({ ...startOf(flags.from ?? 'now'), filter: filterFrom(flags), signal });
  let printed = 0;
  for await (const event of events) {
    if (!(await print(format(event)))) break;
    printed += 1;
    if (printed === flags.limit) break;
  }
}

function startOf(from: string): Pick<WatchOptions, 'from' | 'cursor'> {
  const start = STARTS.find((one) => one === from);
  if (start !== undefined) return { from: start };
  // Shorter than any cursor: probably a misspelt word.
  if (from.length < 20)
    throw new InvalidArgumentError(`--from: ${from} is none of ${STARTS.join(', ')}, and no cursor`);
  return { cursor: from };
}

/**
 * Returns a function that formats an event as a CloudEvent: `data` is the file, `subject` its id, and `cursor` an
 * extension.
 *
 * @param source - address of the service
 */
async function cloudEvents(source: string): Promise<(event: FileEvent) => string> {
  const { CloudEvent } = await import('cloudevents');
  return ({ id, type, time, file, cursor }) =>
    JSON.stringify(
      new CloudEvent({
        ...{ id, source, type: `asset.v1.file.${type}`, subject: file.id, time: time.toISOString() },
        ...{ datacontenttype: 'application/json', data: file, cursor },
      }),
    );
}
