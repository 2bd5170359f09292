import type { FileDescription, UploadItem, UploadSource, WorkerClient } from '@asset-service/worker';
import { InvalidArgumentError } from 'commander';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, normalize } from 'node:path';
import { descriptionFrom, type DescriptionFlags } from './description-flags.ts';
import { explain } from './explain.ts';
import { findFiles, isFolder, type FoundFile } from './find-files.ts';
import { lineOf } from './records.ts';
import { fileProgress, filesProgress, endProgress, print, say } from './terminal.ts';

/** Flags of `upload`. */
export interface UploadFlags extends DescriptionFlags {
  readonly requestId?: string;
  readonly all?: true;
  readonly concurrency: number;
  readonly pathAttribute?: string;
  readonly json?: true;
  /** True for ids alone. */
  readonly quiet?: true;
}

/** The path that means standard input. */
const STDIN = '-';

/**
 * Uploads the files at `paths`. One file prints its record; several print one line each as they are stored, and a
 * summary.
 */
export async function upload(
  client: WorkerClient,
  paths: readonly string[],
  flags: UploadFlags,
  signal: AbortSignal,
): Promise<void> {
  if (paths.filter((path) => path === STDIN).length > 1) {
    throw new InvalidArgumentError('-: standard input can be read only once');
  }
  const [only] = paths;
  if (paths.length === 1 && only !== undefined && !(await isFolder(only))) {
    await uploadOne(client, only, flags, signal);
  } else {
    await uploadMany(client, paths, flags, signal);
  }
}

async function uploadOne(
  client: WorkerClient,
  path: string,
  flags: UploadFlags,
  signal: AbortSignal,
): Promise<void> {
  const show = fileProgress(path);
  const found = { path, relativePath: basename(path) };
  const file = await client.uploadFile(await sourceOf(path), {
    ...describe(found, flags),
    requestId: flags.requestId,
    signal,
    onProgress: ({ sentBytes, totalBytes }) => show({ doneBytes: sentBytes, totalBytes }),
  });
  endProgress();
  await print(flags.json || flags.quiet ? lineOf(file, flags) : JSON.stringify(file, null, 2));
}

async function uploadMany(
  client: WorkerClient,
  paths: readonly string[],
  flags: UploadFlags,
  signal: AbortSignal,
): Promise<void> {
  if (flags.name !== undefined) throw new InvalidArgumentError('--name is for one file alone');
  const found: FoundFile[] = [];
  let failures = 0;
  for await (const file of findFiles(paths, flags.all === true)) {
    if (!file.isUnnamable) found.push(file);
    else {
      failures++;
      say(
        `${file.path}: its name is not UTF-8, and a file has a name of Unicode: rename it, and upload it then`,
      );
    }
  }
  const progress = filesProgress(found.length);
  const started = performance.now();
  let files = 0;
  let bytes = 0;
  async function* items(): AsyncGenerator<UploadItem> {
    for (const file of found) {
      // Files that were not begun before an interruption are not reported.
      if (signal.aborted) return;
      yield { source: await sourceOf(file.path), ...describe(file, flags), ...once(file, flags) };
    }
  }
  await client.uploadFiles(items(), {
    concurrency: flags.concurrency,
    signal,
    onProgress: ({ sentBytes, totalBytes }, index) =>
      progress.moved(found[index]!.path, { doneBytes: sentBytes, totalBytes }),
    onResult: ({ file, error }, index) => {
      const { path } = found[index]!;
      progress.done();
      if (file !== undefined) {
        files++;
        bytes += file.sizeBytes;
        // Printed immediately: the id is the only way to find the file, and the process may end at any time.
        void print(lineOf({ path, ...file }, flags));
      } else {
        failures++;
        if (!signal.aborted) say(`${path}: ${explain(error)}`);
      }
    },
  });
  endProgress();
  const seconds = (performance.now() - started) / 1000;
  const interrupted = signal.aborted ? `, interrupted before ${found.length - files} others` : '';
  process.stderr.write(`${summary(files, bytes, seconds, signal.aborted ? 0 : failures)}${interrupted}\n`);
  if (failures > 0) process.exitCode = 1;
}

/** Standard input, and a pipe such as `<(command)`, are read as a stream; the client opens a file by its path. */
async function sourceOf(path: string): Promise<UploadSource> {
  if (path === STDIN) {
    if (process.stdin.isTTY) say('reading from the terminal; end with Ctrl-D');
    return process.stdin;
  }
  const found = await stat(path).catch(() => undefined);
  return found?.isFIFO() ? createReadStream(path) : path;
}

function describe({ relativePath }: FoundFile, flags: UploadFlags): FileDescription {
  const description = descriptionFrom(flags);
  if (flags.pathAttribute === undefined) return description;
  const attributes = { ...description.attributes, [flags.pathAttribute]: relativePath };
  return { ...description, attributes };
}

/** Each file of a repeatable upload has its own request id, derived from its path. */
function once({ path }: FoundFile, { requestId }: UploadFlags): { requestId?: string } {
  if (requestId === undefined) return {};
  return {
    requestId: createHash('sha256')
      .update(`${requestId}\0${normalize(path)}`)
      .digest('hex'),
  };
}

function summary(files: number, bytes: number, seconds: number, failures: number): string {
  const mebibytes = bytes / 2 ** 20;
  return `${files} ${files === 1 ? 'file' : 'files'}, ${mebibytes.toFixed(1)} MiB in ${seconds.toFixed(1)} s, ${failures} failed`;
}
