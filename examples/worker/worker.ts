/**
 * A worker: for every image it makes a second file, a JSON text with the image's format, width and height, and links
 * it to the image by a relation and an attribute. Start as many as you like: each image is done once.
 *
 *     ASSET_SERVICE_URL=http://127.0.0.1:8080 node examples/worker/worker.ts STATE_FILE
 *
 * Every step may be interrupted. The cursor in STATE_FILE moves on after an event is done, so an interrupted event comes
 * again; and its upload has a request id made from the image's id, so that doing it again gives the same file.
 */
import { createWorkerClient, type FileEvent } from '@asset-service/worker';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { imageSize } from './image-size.ts';

/** Name of the relation from the new file to its image. In PocketBase it is a relation field of the collection. */
const RELATION = process.env['RELATION'] ?? 'original';

/** Usage of the new files. */
const USAGE = 'image-info';

/** Enough for the header of an image. */
const HEAD_BYTES = 256 * 1024;

const [stateFile] = process.argv.slice(2);
if (stateFile === undefined) throw new Error('usage: worker.ts STATE_FILE');

const token = process.env['ASSET_SERVICE_TOKEN'];
const assets = createWorkerClient({
  baseUrl: process.env['ASSET_SERVICE_URL'] ?? 'http://127.0.0.1:8080',
  ...(token !== undefined && { token }),
  retry: {
    retries: Infinity,
    onRetry: (error, ms) => say(`${error.message}: trying again in ${Math.round(ms)} ms`),
  },
  timeouts: { callMs: 0 },
});
const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort());

const cursor = await readFile(stateFile, 'utf8').catch(() => undefined);
const start = cursor ? { cursor } : { from: 'existing' as const };
const watch = { ...start, filter: { contentType: 'image/*' }, signal: stop.signal };
try {
  for await (const event of assets.watchFiles(watch)) {
    if (event.type === 'created') await work(event);
    await keep(event.cursor);
  }
} catch (error) {
  if (!stop.signal.aborted) throw error;
} finally {
  assets.close();
}

/** Makes the file of one image. */
async function work({ file }: FileEvent): Promise<void> {
  const current = await assets.getFiles([file.id]);
  if (current[0]?.file === undefined || current[0].file.deleteTime !== undefined) return;
  const { bytes } = await assets.downloadBytes(file.id, { length: Math.min(HEAD_BYTES, file.sizeBytes) });
  const info = { image: file.id, ...imageSize(bytes) };
  const made = await assets.uploadFile(Buffer.from(JSON.stringify(info)), {
    requestId: `${USAGE}-${file.id}`,
    name: `${file.name}.json`,
    contentType: 'application/json',
    usage: USAGE,
    owner: file.owner,
    relations: { [RELATION]: [file.id] },
    attributes: { derived_from: file.id },
  });
  say(`${file.id} -> ${made.id}`);
}

/** Keeps the cursor in whole: an interrupted write leaves the one before. */
async function keep(next: string): Promise<void> {
  await writeFile(`${stateFile!}.new`, next);
  await rename(`${stateFile!}.new`, stateFile!);
}

function say(text: string): void {
  process.stderr.write(`worker: ${text}\n`);
}
