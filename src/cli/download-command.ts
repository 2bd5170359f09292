import type { WorkerClient } from '@asset-service/worker';
import { InvalidArgumentError } from 'commander';
import { forEachId } from './each-id.ts';
import { isFolder } from './find-files.ts';
import { fileProgress, endProgress, isReaderGone, print, printable } from './terminal.ts';

/** Flags of `download`. */
export interface DownloadFlags {
  readonly output?: string;
  readonly json?: true;
}

/**
 * Downloads files and prints the path of each. In a directory the file gets a safe form of its name, and nothing is
 * replaced.
 */
export async function download(
  client: WorkerClient,
  ids: readonly string[],
  flags: DownloadFlags,
  signal: AbortSignal,
): Promise<void> {
  const { output = '.' } = flags;
  const isOne = new Set(ids).size === 1;
  if (output === '-') {
    if (!isOne) throw new InvalidArgumentError('--output -: standard output takes one file alone');
    return toStandardOutput(client, ids[0]!, signal);
  }
  if (!isOne && !(await isFolder(output))) {
    throw new InvalidArgumentError(`--output ${output}: several files need a directory that exists`);
  }
  await forEachId(
    ids,
    signal,
    async (id) => {
      const { name } = await client.getFile(id, { signal });
      const show = fileProgress(name || id);
      return client.downloadToFile(id, output, {
        signal,
        onProgress: ({ receivedBytes, totalBytes }) => show({ doneBytes: receivedBytes, totalBytes }),
      });
    },
    async (file) => {
      if (isOne) endProgress();
      await print(flags.json ? JSON.stringify(file) : shownPath(file.path));
      // Continues although nobody reads the paths.
      return true;
    },
  );
}

/** The path unchanged for programs; without control characters for a terminal. */
function shownPath(path: string): string {
  return process.stdout.isTTY ? printable(path) : path;
}

async function toStandardOutput(client: WorkerClient, id: string, signal: AbortSignal): Promise<void> {
  const show = fileProgress(id);
  try {
    await client.downloadTo(id, process.stdout, {
      signal,
      onProgress: ({ receivedBytes, totalBytes }) => show({ doneBytes: receivedBytes, totalBytes }),
    });
  } catch (error) {
    if (!isReaderGone()) throw error;
  }
}
