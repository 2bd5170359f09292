import type { PocketBaseServer } from '../test/support/pocketbase.ts';
import type { TestBucket } from '../test/support/shared-servers.ts';

/** Collection of records that are created without the service. */
const COLLECTION = 'bench_files';

/** PocketBase used without the service: its REST API with a superuser's token. */
export interface PocketBasePeer {
  /** Creates a record. */
  create(fields: Readonly<Record<string, string | number>>): Promise<void>;
  /** Creates a record with a file, which PocketBase stores in S3. */
  createWithFile(fields: Readonly<Record<string, string>>, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
}

/** Signs in, lets PocketBase store its files in `bucket`, and creates a collection if it does not exist. */
export async function openPocketBase(server: PocketBaseServer, bucket: TestBucket): Promise<PocketBasePeer> {
  const json = (body: unknown) => ({
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json' },
  });
  const send = async (method: string, path: string, init: RequestInit, token = ''): Promise<unknown> => {
    const headers = { ...(init.headers as Record<string, string>), authorization: token };
    const response = await fetch(`${server.url}${path}`, { ...init, method, headers });
    const text = await response.text();
    if (!response.ok) throw new Error(`PocketBase answered ${response.status}: ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  };
  const credentials = { identity: server.email, password: server.password };
  const signIn = '/api/collections/_superusers/auth-with-password';
  const { token } = (await send('POST', signIn, json(credentials))) as { token: string };

  const s3 = {
    ...{ enabled: true, forcePathStyle: true, bucket: bucket.bucket, region: bucket.region },
    ...{ endpoint: bucket.endpoint, accessKey: bucket.accessKeyId, secret: bucket.secretAccessKey },
  };
  await send('PATCH', '/api/settings', json({ s3 }), token);
  const fields = [
    ...['name', 'owner', 'key'].map((name) => ({ name, type: 'text' })),
    { name: 'size_bytes', type: 'number' },
    { name: 'file', type: 'file', maxSize: 2 ** 30 },
  ];
  const collections = [{ name: COLLECTION, type: 'base', fields }];
  await send('PUT', '/api/collections/import', json({ collections, deleteMissing: false }), token);

  const records = `/api/collections/${COLLECTION}/records`;
  return {
    create: async (record) => void (await send('POST', records, json(record), token)),
    createWithFile: async (record, bytes) => {
      const form = new FormData();
      for (const [name, value] of Object.entries(record)) form.set(name, value);
      form.set('file', new Blob([bytes]), 'bench.bin');
      await send('POST', records, { body: form }, token);
    },
  };
}
