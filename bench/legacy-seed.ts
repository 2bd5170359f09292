import { closeSync, mkdirSync, openSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { S3Signer } from '../src/storage/s3/signature.ts';
import { idFor, planFiles } from '../test/support/legacy/contents.ts';
import type { LegacyFile, LegacySystem } from '../test/support/legacy/system.ts';

/** Connections over which objects are stored. */
const CONNECTIONS = 48;

const ORPHANS_PER_FOLDER = 1_000;

/** One record in so many that has a file of PocketBase also has a thumbnail. */
const THUMB_EVERY = 100;

/** An object to store. */
interface SeedObject {
  readonly key: string;
  readonly content: Buffer;
  readonly contentType: string;
}

/**
 * Adds plain files to a legacy system, several thousand a second: the records go into the database of its PocketBase in
 * one transaction, and the requests that store the objects are signed without the SDK.
 */
export async function seedFiles(legacy: LegacySystem, count: number): Promise<readonly LegacyFile[]> {
  const { people, collectionId } = legacy;
  const files = planFiles(count)
    .slice(0, count)
    .map((plan, index): LegacyFile => {
      const id = idFor(`seed ${index}`);
      const ownerId = people.userIds[index % people.userIds.length]!;
      const isUpload = plan.way === 'pocketbase';
      // PocketBase replaces blanks and adds ten random characters.
      const secureName = isUpload ? `picture_${index}_${id.slice(0, 10)}.png` : plan.secureName;
      const key = isUpload ? `${collectionId}/${id}/${secureName}` : `${id}/${secureName}`;
      return { ...plan, secureName, id, ownerId, key };
    });
  insertRecords(legacy, files);
  await putObjects(legacy, objectsOf(files, collectionId));
  return files;
}

/** Layout of {@link seedOrphans}. */
export const ORPHAN_LAYOUT = '{collection_id}/{id}-{file}';

/** Makes empty files, which no record names, in the directory of a bucket of VersityGW: faster than by requests. */
export function seedOrphans(dir: string, count: number): void {
  for (let index = 0; index < count; index++) {
    const folder = join(dir, `collection${String(Math.floor(index / ORPHANS_PER_FOLDER)).padStart(5, '0')}`);
    if (index % ORPHANS_PER_FOLDER === 0) mkdirSync(folder);
    closeSync(openSync(join(folder, `${idFor(`orphan ${index}`)}-lost.txt`), 'w'));
  }
}

function* objectsOf(files: readonly LegacyFile[], collectionId: string): Generator<SeedObject> {
  for (const [index, { key, content, contentType, way, id, secureName }] of files.entries()) {
    yield { key, content, contentType };
    if (way === 'pocketbase' && index % THUMB_EVERY === THUMB_EVERY - 1) {
      const thumb = `${collectionId}/${id}/thumbs_${secureName}/100x100_${secureName}`;
      yield { key: thumb, content, contentType };
    }
  }
}

function insertRecords({ database: path, people, bucket }: LegacySystem, files: readonly LegacyFile[]): void {
  const database = new DatabaseSync(path, { timeout: 30_000 });
  const insert = database.prepare(
    'insert into files (id, title, mime, size, user, usage, project, secure_name, link, file, created, updated)' +
      ' values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
  );
  const now = new Date().toISOString().replace('T', ' ');
  database.exec('begin immediate');
  for (const { id, title, contentType, content, ownerId, way, secureName, link, key } of files) {
    const isUpload = way === 'pocketbase';
    const links = { url: bucket.publicUrl(key), path: key, none: '' };
    insert.run(
      ...([id, title, contentType, content.length, ownerId] as const),
      ...([isUpload ? 'avatar' : 'invoice', people.projectIds[isUpload ? 1 : 0]!] as const),
      ...(isUpload ? (['', '', secureName] as const) : ([secureName, links[link], ''] as const)),
      ...([now, now] as const),
    );
  }
  database.exec('commit');
  database.close();
}

async function putObjects({ bucket }: LegacySystem, objects: Iterable<SeedObject>): Promise<void> {
  const { accessKeyId, secretAccessKey, region } = bucket;
  const credentials = { accessKeyId, secretAccessKey };
  const signer = new S3Signer({ region, credentials: () => Promise.resolve(credentials) });
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const left = objects[Symbol.iterator]();
  const puts = Array.from({ length: CONNECTIONS }, async () => {
    for (let next = left.next(); !next.done; next = left.next()) {
      const { key, content, contentType } = next.value;
      const url = new URL(bucket.publicUrl(key));
      const own = { host: url.host, 'content-type': contentType, 'content-length': String(content.length) };
      const unsigned = { method: 'PUT', path: url.pathname, query: {}, headers: own };
      await put(agent, url, await signer.sign(unsigned, new Date()), content);
    }
  });
  await Promise.all(puts);
  agent.destroy();
}

function put(agent: Agent, url: URL, headers: Record<string, string>, content: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { agent, method: 'PUT', headers }, (response) => {
      response.resume().once('end', () => {
        if (response.statusCode === 200) resolve();
        else reject(new Error(`HTTP ${response.statusCode} for ${url.href}`));
      });
    });
    sent.once('error', reject);
    sent.end(content);
  });
}
