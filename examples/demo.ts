/**
 * The main operations in one run: starts the service with its defaults, uploads a file of this repository with the
 * generated client, reads it by its URL, updates its record, lists, deletes and restores it.
 */
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createWorkerClient } from '@asset-service/worker';
import { startApp } from '../src/app/app.ts';
import { loadConfig } from '../src/config/config.ts';

const dataDir = await mkdtemp(join(tmpdir(), 'asset-service-demo-'));
const app = await startApp(
  loadConfig({ ASSET_LISTEN: '127.0.0.1:0', ASSET_DATA_DIR: dataDir, ASSET_LOG_LEVEL: 'error' }),
);
const client = createWorkerClient({ baseUrl: app.url });
try {
  say(`service       ${app.url} (filesystem and SQLite in ${dataDir})`);

  const path = join(import.meta.dirname, '..', 'README.md');
  const file = await client.uploadFile(path, {
    owner: 'ann',
    usage: 'manual',
    relations: { project: ['apollo'] },
    attributes: { title: 'How to run the service' },
  });
  say(`uploaded      ${file.name} as ${file.id}: ${file.sizeBytes} bytes, ${file.contentType}`);

  const { url, expireTime } = await client.fileUrl(file.id, { ttlSeconds: 60 });
  const fetched = Buffer.from(await (await fetch(url)).arrayBuffer());
  check(fetched.equals(await readFile(path)), 'the URL gives the bytes that were sent');
  check(createHash('sha256').update(fetched).digest('hex') === file.sha256, 'they have the stored SHA-256');
  say(`fetched       ${url.slice(0, 72)}… until ${expireTime?.toISOString()}`);

  const tampered = await fetch(url.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')));
  check(tampered.status === 403, 'a changed URL is refused');
  say(`refused       the same URL with one letter changed: ${tampered.status}`);

  const changed = await client.updateMetadata(
    file.id,
    { attributes: { title: 'Read me first' } },
    { etag: file.etag },
  );
  check(changed.attributes['title'] === 'Read me first', 'the record has the new title');
  say(`described     title is now ${JSON.stringify(changed.attributes['title'])}`);

  const late = await client.updateMetadata(file.id, { name: 'late' }, { etag: file.etag }).catch(String);
  check(typeof late === 'string', 'a change of an old revision is refused');
  say(`refused       a change that had not seen the last one`);

  const listed = [];
  for await (const one of client.listFiles({ relation: { name: 'project', id: 'apollo' } }))
    listed.push(one.id);
  check(listed.length === 1 && listed[0] === file.id, 'the file is listed with its project');
  say(`listed        ${listed.length} file of project apollo`);

  const deleted = await client.deleteFile(file.id);
  check((await fetch(url)).ok, 'a URL handed out before works until it expires');
  check(
    await client.fileUrl(file.id).then(
      () => false,
      () => true,
    ),
    'a deleted file gets no new URL',
  );
  await client.undeleteFile(file.id);
  say(`deleted       and brought back; it would have been purged at ${deleted.purgeTime?.toISOString()}`);
  say('done          everything above was checked');
} finally {
  client.close();
  await app.close();
  await rm(dataDir, { recursive: true });
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(`not so: ${what}`);
}
