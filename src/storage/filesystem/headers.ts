import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { PRIVATE_FILE } from '../../system/private-files.ts';
import type { BlobHeaders } from '../blob.ts';
import { syncDir } from './files.ts';
import type { FilesystemLayout } from './layout.ts';
import { isThere, makeDirs, openFile } from './paths.ts';

/** File with the headers of a blob, beside it. Most blobs have none. Its name is not that of a blob. */
function headersPath(blobPath: string): string {
  return `${blobPath}.headers`;
}

/**
 * Stores the headers of a blob before the blob becomes visible; does nothing without headers or if the blob is there.
 * What a crash leaves belongs to the same key, whose bytes and headers never change, and {@link removeHeaders} removes it.
 */
export async function keepHeaders(
  layout: FilesystemLayout,
  key: string,
  headers: BlobHeaders | undefined,
): Promise<void> {
  if (headers === undefined || Object.keys(headers).length === 0) return;
  const path = layout.blobPath(key);
  await layout.assertThere();
  await makeDirs(dirname(path));
  if (await isThere(path)) return;
  const temporary = await layout.temporaryPath(key);
  const file = await open(temporary, 'wx', PRIVATE_FILE);
  try {
    await file.writeFile(JSON.stringify(headers));
    await file.sync();
    await rename(temporary, headersPath(path));
  } finally {
    await file.close();
    await rm(temporary, { force: true });
  }
  await syncDir(dirname(path));
}

/** The headers of a blob; none if it has none, or is not there. */
export async function readHeaders(layout: FilesystemLayout, key: string): Promise<BlobHeaders> {
  const file = await layout.ifThere(() => openFile(headersPath(layout.blobPath(key)), 'read'));
  if (file === undefined) return {};
  try {
    return JSON.parse(await file.readFile('utf8')) as BlobHeaders;
  } finally {
    await file.close();
  }
}

/** Removes the headers of a blob that was deleted. Its directory must be no symbolic link. */
export async function removeHeaders(layout: FilesystemLayout, key: string): Promise<void> {
  await rm(headersPath(layout.blobPath(key)), { force: true });
}
