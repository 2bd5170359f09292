import { InvalidArgumentError, Option, type Command } from 'commander';
import type { WorkerClient } from '@asset-service/worker';
import { withClient, withConnectionOptions, type ConnectionFlags } from './connect.ts';
import { changesFrom, collect, notEmpty, type DescriptionFlags } from './description-flags.ts';
import type { DownloadFlags } from './download-command.ts';
import { filterFrom, withFilterOptions, type FilterFlags } from './filter-flags.ts';
import { positive } from './number-flags.ts';
import type { RecordFlags } from './records.ts';
import { print } from './terminal.ts';
import type { UploadFlags } from './upload-command.ts';
import { addWatchCommand } from './watch-command.ts';

/** Adds the commands that call a running service. They load their modules when they run. */
export function addClientCommands(root: Command): void {
  const command = (usage: string, description: string) =>
    withConnectionOptions(root.command(usage).description(description)).option(
      '--json',
      'print one line of JSON for each file, also on a terminal',
    );

  quieting(
    describing(
      command('upload <path...>', 'upload files, folders with their content, or standard input (-)'),
    ),
  )
    .option(
      '--request-id <id>',
      'make the upload safe to repeat: the same command with the same id stores nothing twice, and a large file resumes. ' +
        'In folders each file has an id of its own, made from this one and its path as given',
    )
    .option('--concurrency <count>', 'number of concurrent uploads', positive, 4)
    .option('--all', 'include hidden files in folders')
    .option('--path-attribute <name>', 'store the path of each file within its folder in this attribute')
    .action((paths: string[], flags: ConnectionFlags & UploadFlags) =>
      withClient(flags, async (client, signal) => {
        const { upload } = await import('./upload-command.ts');
        await upload(client, paths, flags, signal);
      }),
    );

  command('url <id...>', 'print a signed URL that expires for each file')
    .option('--ttl <seconds>', 'maximum lifetime in seconds', positive)
    .option('--inline', 'let a browser show the file instead of saving it')
    .option('--name <name>', 'name under which a browser saves the file')
    .action((ids: string[], flags: ConnectionFlags & UrlFlags) =>
      withClient(flags, (client, signal) => urls(client, ids, flags, signal)),
    );

  command('download <id...>', 'download files through the service and print the path of each')
    .option(
      '-o, --output <path>',
      'a file, which is replaced; a directory, where nothing is replaced; or - for standard output. ' +
        'Default: the current directory, under a safe form of the name of the file',
      notEmpty,
    )
    .action((ids: string[], flags: ConnectionFlags & DownloadFlags) =>
      withClient(flags, async (client, signal) => {
        const { download } = await import('./download-command.ts');
        await download(client, ids, flags, signal);
      }),
    );

  showing(command('show <id...>', 'print the record of each file'))
    .alias('get')
    .action((ids: string[], flags: ConnectionFlags & RecordFlags) =>
      changing(ids, flags, (client, id, signal) => client.getFile(id, { signal })),
    );

  withFilterOptions(
    quieting(
      showing(
        command(
          'list',
          'print the records of files, newest first: a table on a terminal, otherwise one line of JSON each',
        ),
      ),
    ),
  )
    .option('--deleted', 'include soft-deleted files')
    .option('--limit <count>', 'print at most this many', positive)
    .action((flags: ConnectionFlags & ListFlags) =>
      withClient(flags, (client, signal) => list(client, flags, signal)),
    );

  addWatchCommand(command);

  describing(showing(command('describe <id>', 'change the record of a file')))
    .option(
      '--set <name=value>',
      'set a field, attributes.<name> or relations.<name>; an empty value clears it',
      collect,
      [],
    )
    .option('--etag <etag>', 'only if this is the current etag')
    .action(
      (
        id: string,
        flags: ConnectionFlags & RecordFlags & DescriptionFlags & { set: string[]; etag?: string },
      ) => {
        const changes = changesFrom(flags, flags.set);
        if (Object.keys(changes).length === 0) {
          throw new InvalidArgumentError('there is nothing to change: give --set, --name or another field');
        }
        return changing([id], flags, (client, _id, signal) =>
          client.updateMetadata(id, changes, { etag: flags.etag, signal }),
        );
      },
    );

  showing(command('delete <id...>', 'soft-delete files'))
    .option('--etag <etag>', 'only if this is the current etag, of one file alone')
    .action((ids: string[], flags: ConnectionFlags & RecordFlags & { etag?: string }) => {
      if (flags.etag !== undefined && ids.length > 1)
        throw new InvalidArgumentError('--etag is for one file alone');
      return changing(ids, flags, (client, id, signal) =>
        client.deleteFile(id, { etag: flags.etag, signal }),
      );
    });

  showing(command('undelete <id...>', 'restore soft-deleted files')).action(
    (ids: string[], flags: ConnectionFlags & RecordFlags) =>
      changing(ids, flags, (client, id, signal) => client.undeleteFile(id, { signal })),
  );
}

interface UrlFlags {
  readonly ttl?: number;
  readonly inline?: true;
  readonly name?: string;
  readonly json?: true;
}

interface ListFlags extends RecordFlags, FilterFlags {
  readonly deleted?: true;
  readonly limit?: number;
}

async function urls(
  client: WorkerClient,
  ids: string[],
  flags: UrlFlags,
  signal: AbortSignal,
): Promise<void> {
  const { forEachId } = await import('./each-id.ts');
  const options = {
    ttlSeconds: flags.ttl,
    disposition: flags.inline ? ('inline' as const) : ('attachment' as const),
    downloadName: flags.name,
    signal,
  };
  await forEachId(
    ids,
    signal,
    (id) => client.fileUrl(id, options),
    (url, id) => print(flags.json ? JSON.stringify({ id, ...url }) : url.url),
  );
}

async function list(client: WorkerClient, flags: ListFlags, signal: AbortSignal): Promise<void> {
  const { printRecords } = await import('./records.ts');
  const files = client.listFiles({
    ...filterFrom(flags),
    showDeleted: flags.deleted,
    // A page has at most 1,000 files.
    pageSize: Math.min(flags.limit ?? 0, 1000),
    signal,
  });
  await printRecords(files, flags, { deleted: flags.deleted ?? false, limit: flags.limit ?? Infinity });
}

/** Does something with each file and prints its new record. */
async function changing(
  ids: readonly string[],
  flags: ConnectionFlags & RecordFlags,
  change: (client: WorkerClient, id: string, signal: AbortSignal) => ReturnType<WorkerClient['getFile']>,
): Promise<void> {
  const { forEachId } = await import('./each-id.ts');
  const { printRecord } = await import('./records.ts');
  await withClient(flags, (client, signal) =>
    forEachId(
      ids,
      signal,
      (id) => change(client, id, signal),
      async (file) => {
        await printRecord(file, flags, ids.length > 1);
        return true;
      },
    ),
  );
}

function showing(command: Command): Command {
  return command.option('--table', 'print the table or fields also if standard output is not a terminal');
}

function quieting(command: Command): Command {
  return command.addOption(
    new Option('-q, --quiet', 'print only the id of each file').conflicts(['json', 'table']),
  );
}

function describing(command: Command): Command {
  return command
    .option('--name <name>', 'display name')
    .option('--type <type>', 'media type; detected by default')
    .option('--owner <id>', 'id of the owner')
    .option('--usage <usage>', 'what the file is for; selects the usage policy')
    .option('--relation <name=id>', 'relation target; may be repeated', collect, [])
    .option(
      '--attribute <name=value>',
      'another field; the value is JSON or text; may be repeated',
      collect,
      [],
    );
}
