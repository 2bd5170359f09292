import type { FileDescription, UploadItem, WorkerClient } from '@asset-service/worker';
import { InvalidArgumentError } from 'commander';
import { createHash } from 'node:crypto';
import { basename, normalize } from 'node:path';
import { descriptionFrom, type DescriptionFlags } from './description-flags.ts';
import { findFiles, isFolder, type FoundFile } from './find-files.ts';
import { progressBar, progressBars } from './progress-bar.ts';

/** The flags of `upload`. */
export interface UploadFlags extends DescriptionFlags {
  readonly requestId?: string;
  readonly all?: true;
  readonly concurrency: number;
  readonly pathAttribute?: string;
}

/** Uploads what the paths stand for: one file prints its record, several print a line each and a summary. */
export async function upload(
  client: WorkerClient,
  paths: readonly string[],
  flags: UploadFlags,
): Promise<void> {
  const [only] = paths;
  if (paths.length === 1 && only !== undefined && !(await isFolder(only))) {
    await uploadOne(client, only, flags);
  } else {
    await uploadMany(client, paths, flags);
  }
}

async function uploadOne(client: WorkerClient, path: string, flags: UploadFlags): Promise<void> {
  const bar = progressBar(path);
  try {
    const found = { path, relativePath: basename(path) };
    const options = { ...describe(found, flags), requestId: flags.requestId, onProgress: bar.update };
    process.stdout.write(`${JSON.stringify(await client.uploadFile(path, options), null, 2)}\n`);
  } finally {
    bar.stop();
  }
}

async function uploadMany(client: WorkerClient, paths: readonly string[], flags: UploadFlags): Promise<void> {
  if (flags.name !== undefined) throw new InvalidArgumentError('--name is for one file alone');
  const found: FoundFile[] = [];
  for await (const file of findFiles(paths, flags.all === true)) found.push(file);
  const bars = progressBars(found.length);
  const started = performance.now();
  try {
    const results = await client.uploadFiles(
      found.map((file): UploadItem => ({
        source: file.path,
        ...describe(file, flags),
        ...once(file, flags),
      })),
      {
        concurrency: flags.concurrency,
        onProgress: (progress, index) => bars.update(index, found[index]!.path, progress),
        onResult: (_result, index) => bars.done(index),
      },
    );
    bars.stop();
    let bytes = 0;
    let failures = 0;
    for (const [index, { file, error }] of results.entries()) {
      const { path } = found[index]!;
      if (file !== undefined) {
        bytes += file.sizeBytes;
        process.stdout.write(`${JSON.stringify({ path, ...file })}\n`);
      } else {
        failures++;
        process.stderr.write(`asset-service: ${path}: ${error.code}: ${error.message}\n`);
      }
    }
    const seconds = (performance.now() - started) / 1000;
    process.stderr.write(`${summary(results.length - failures, bytes, seconds, failures)}\n`);
    if (failures > 0) process.exitCode = 1;
  } finally {
    bars.stop();
  }
}

function describe(file: FoundFile, flags: UploadFlags): FileDescription {
  const description = descriptionFrom(flags);
  if (flags.pathAttribute === undefined) return description;
  const attributes = { ...description.attributes, [flags.pathAttribute]: file.relativePath };
  return { ...description, attributes };
}

/** Each file of a repeatable upload has an id of its own, which follows from where it lies. */
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
