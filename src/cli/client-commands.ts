import { InvalidArgumentError, type Command } from 'commander';
import type { AssetFile, WorkerClient } from '@asset-service/worker';
import { changesFrom, collect, type DescriptionFlags } from './description-flags.ts';
import { tokenFrom } from './token.ts';
import type { UploadFlags } from './upload-command.ts';

interface GlobalFlags {
  readonly url: string;
  readonly token?: string;
}

/** Adds the commands that speak to a running service. What only they need is loaded when one of them runs. */
export function addClientCommands(root: Command): void {
  const command = (usage: string, description: string) =>
    root
      .command(usage)
      .description(description)
      .option('-u, --url <url>', 'where the service is', process.env['ASSET_URL'] ?? 'http://127.0.0.1:8080')
      // The token of the environment is no default of the option: the help would show it.
      .option('--token <token>', 'access token to send (or ASSET_TOKEN, or the file ASSET_TOKEN_FILE)');

  describing(command('upload <path...>', 'store files, and folders with all that is in them'))
    .option('--request-id <id>', 'make the upload safe to repeat, and let it go on where it stood')
    .option('--concurrency <count>', 'files on their way at once', positive, 4)
    .option('--all', 'hidden files in folders as well')
    .option('--path-attribute <name>', 'keep the path of each file in its folder in this attribute')
    .action((paths: string[], flags: GlobalFlags & UploadFlags) =>
      withClient(flags, async (client) => {
        const { upload } = await import('./upload-command.ts');
        await upload(client, paths, flags);
      }),
    );

  command('url <id>', 'print a private URL of a file that expires')
    .option('--ttl <seconds>', 'greatest lifetime in seconds', positive)
    .option('--inline', 'let a browser show the file instead of saving it')
    .option('--name <name>', 'name to save it under')
    .action((id: string, flags: GlobalFlags & { ttl?: number; inline?: true; name?: string }) =>
      withClient(flags, async (client) => {
        const { url } = await client.fileUrl(id, {
          ttlSeconds: flags.ttl,
          disposition: flags.inline ? 'inline' : 'attachment',
          downloadName: flags.name,
        });
        print(url);
      }),
    );

  command('download <id>', 'fetch a file through the service')
    .option('-o, --output <path>', 'where to; the name of the file in this directory where left out')
    .action((id: string, flags: GlobalFlags & { output?: string }) =>
      withClient(flags, async (client) => {
        const { progressBar } = await import('./progress-bar.ts');
        const file = await client.getFile(id);
        const path = flags.output ?? safeFileName(file);
        const bar = progressBar(path);
        try {
          await client.downloadToFile(id, path, {
            onProgress: ({ receivedBytes }) =>
              bar.update({ sentBytes: receivedBytes, totalBytes: file.sizeBytes }),
          });
        } finally {
          bar.stop();
        }
        print(path);
      }),
    );

  command('show <id>', 'print the record of a file').action((id: string, flags: GlobalFlags) =>
    withClient(flags, async (client) => show(await client.getFile(id))),
  );

  command('list', 'print the records of files, newest first, a JSON line each')
    .option('--owner <id>', 'only files of this owner')
    .option('--usage <usage>', 'only files of this usage')
    .option('--relation <name=id>', 'only files that belong to this')
    .option('--type <type>', 'only files of this type, such as image/png or image/*')
    .option('--deleted', 'softly deleted files as well')
    .option('--limit <count>', 'print at most so many', positive)
    .action((flags: GlobalFlags & ListFlags) => withClient(flags, (client) => list(client, flags)));

  describing(command('describe <id>', 'change the record of a file'))
    .option(
      '--set <name=value>',
      'set a field, attributes.<name> or relations.<name>; an empty value clears it',
      collect,
      [],
    )
    .option('--etag <etag>', 'only if this is the current etag')
    .action((id: string, flags: GlobalFlags & DescriptionFlags & { set: string[]; etag?: string }) =>
      withClient(flags, async (client) =>
        show(await client.updateMetadata(id, changesFrom(flags, flags.set), { etag: flags.etag })),
      ),
    );

  command('delete <id>', 'delete a file softly')
    .option('--etag <etag>', 'only if this is the current etag')
    .action((id: string, flags: GlobalFlags & { etag?: string }) =>
      withClient(flags, async (client) => show(await client.deleteFile(id, { etag: flags.etag }))),
    );

  command('undelete <id>', 'bring a softly deleted file back').action((id: string, flags: GlobalFlags) =>
    withClient(flags, async (client) => show(await client.undeleteFile(id))),
  );
}

interface ListFlags {
  readonly owner?: string;
  readonly usage?: string;
  readonly relation?: string;
  readonly type?: string;
  readonly deleted?: true;
  readonly limit?: number;
}

async function list(client: WorkerClient, flags: ListFlags): Promise<void> {
  const [name = '', ...id] = (flags.relation ?? '').split('=');
  const options = {
    owner: flags.owner,
    usage: flags.usage,
    contentType: flags.type,
    showDeleted: flags.deleted,
    relation: flags.relation === undefined ? undefined : { name, id: id.join('=') },
    // A page has 1,000 files at most.
    pageSize: Math.min(flags.limit ?? 0, 1000),
  };
  let left = flags.limit ?? Infinity;
  for await (const file of client.listFiles(options)) {
    print(JSON.stringify(file));
    if (--left <= 0) break;
  }
}

function describing(command: Command): Command {
  return command
    .option('--name <name>', 'name that people know it by')
    .option('--type <type>', 'media type; found out where left out')
    .option('--owner <id>', 'whose it is')
    .option('--usage <usage>', 'what it is for')
    .option('--relation <name=id>', 'what it belongs to; may be repeated', collect, [])
    .option(
      '--attribute <name=value>',
      'a further field, its value JSON or text; may be repeated',
      collect,
      [],
    );
}

async function withClient(flags: GlobalFlags, work: (client: WorkerClient) => Promise<void>): Promise<void> {
  const token = tokenFrom(flags.token);
  const { createWorkerClient } = await import('@asset-service/worker');
  const client = createWorkerClient({ baseUrl: flags.url, ...(token !== undefined && { token }) });
  try {
    await work(client);
  } finally {
    client.close();
  }
}

/** The name of a file is whatever its owner chose; on this disk it must not lead anywhere. */
function safeFileName(file: AssetFile): string {
  const name = file.name.replaceAll(/[/\\\u0000-\u001f]/g, '_');
  return /^\.*$/.test(name) ? file.id : name;
}

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value <= 0)
    throw new InvalidArgumentError('must be a positive whole number');
  return value;
}

function show(file: AssetFile): void {
  print(JSON.stringify(file, null, 2));
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
