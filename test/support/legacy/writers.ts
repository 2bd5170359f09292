import PocketBase from 'pocketbase';
import type { PocketBaseServer } from '../pocketbase.ts';
import type { LegacyBucket } from './bucket.ts';
import { USER_PASSWORD } from './collections.ts';

/** A program of the legacy system, which reads and writes files without the service. */
export interface LegacyProgram {
  /** Reads the bytes of a file as this program does. */
  read(id: string): Promise<Buffer>;
  /** Stores a file and returns its id. */
  write(name: string, content: Buffer): Promise<string>;
}

/** The BFF: builds `bucket / fileId / secureName`, and reads it without an access key. */
export async function openLegacyBff(server: PocketBaseServer, bucket: LegacyBucket): Promise<LegacyProgram> {
  const { client, userId } = await signIn(server, 0);
  return {
    async read(id) {
      const record = await client.collection('files').getOne(id);
      return fetchBytes(bucket.publicUrl(`${id}/${record['secure_name']}`));
    },
    async write(name, content) {
      const { id } = await client.collection('files').create({
        ...{ title: name, secure_name: name, mime: 'text/plain', size: content.length },
        ...{ user: userId, usage: 'invoice' },
      });
      await bucket.put(`${id}/${name}`, content, 'text/plain');
      await client.collection('files').update(id, { link: bucket.publicUrl(`${id}/${name}`) });
      return id;
    },
  };
}

/** A worker: uploads to PocketBase, and reads by PocketBase's URL of the file. */
export async function openLegacyWorker(server: PocketBaseServer): Promise<LegacyProgram> {
  const { client, userId } = await signIn(server, 1);
  return {
    async read(id) {
      const record = await client.collection('files').getOne(id);
      return fetchBytes(client.files.getURL(record, record['file'] as string));
    },
    async write(name, content) {
      const { id } = await client.collection('files').create({
        ...{ title: name, mime: 'text/plain', size: content.length, user: userId, usage: 'dataset' },
        file: new File([new Uint8Array(content)], name, { type: 'text/plain' }),
      });
      return id;
    },
  };
}

async function signIn(server: PocketBaseServer, index: number) {
  const client = new PocketBase(server.url);
  client.autoCancellation(false);
  const { record } = await client
    .collection('users')
    .authWithPassword(`user${index}@example.com`, USER_PASSWORD);
  return { client, userId: record.id };
}

async function fetchBytes(url: string): Promise<Buffer> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  return Buffer.from(await response.arrayBuffer());
}
