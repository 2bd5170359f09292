import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { createServer, connect, type AddressInfo, type Server } from 'node:net';
import { makeDir, removeDir } from '../../support/process.ts';
import {
  settingsFor,
  startBff,
  startDevelopmentService,
  type Bff,
  type DevelopmentService,
} from './support/bff.ts';
import { Person } from './support/person.ts';

const MiB = 1024 * 1024;

let dir: string;
let development: DevelopmentService;
let bffs: Bff[] = [];
let door: Server;
let url: string;
/** The processes that the door leads to, in turn. */
let open: Bff[] = [];

beforeAll(async () => {
  dir = await makeDir('example-tus');
  development = await startDevelopmentService(dir);
  let next = 0;
  door = createServer((client) => {
    const { port } = open[next++ % open.length]!;
    const behind = connect(port, '127.0.0.1');
    client.pipe(behind).pipe(client);
    for (const [one, other] of [
      [client, behind],
      [behind, client],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(door.address() as AddressInfo).port}`;
  const settings = { ...settingsFor(development), BFF_PUBLIC_URL: url };
  bffs = await Promise.all([startBff(settings), startBff(settings)]);
  open = [...bffs];
});

afterAll(async () => {
  door?.close();
  await Promise.all(bffs.map((bff) => bff.dispose()));
  await development?.service.dispose();
  await removeDir(dir);
});

const encoded = (metadata: Record<string, string>) =>
  Object.entries(metadata)
    .map(([name, value]) => `${name} ${Buffer.from(value).toString('base64')}`)
    .join(',');

/** Every request gets a connection of its own, and so one process or the other. */
const TUS = { 'tus-resumable': '1.0.0', connection: 'close' };

function begin(person: Person, size: number, metadata: Record<string, string>) {
  const headers = { ...TUS, 'upload-length': String(size), 'upload-metadata': encoded(metadata) };
  return person.ask('/uploads', { method: 'POST', headers });
}

function send(person: Person, path: string, offset: number, body: Uint8Array) {
  const type = 'application/offset+octet-stream';
  const headers = { ...TUS, 'upload-offset': String(offset), 'content-type': type };
  return person.ask(path, { method: 'PATCH', headers, body });
}

describe('two processes behind one port', () => {
  it('know the same session and go on with the same upload, also when one is killed', async () => {
    const ann = await Person.signedIn(url, 'ann');
    const bytes = randomBytes(5 * MiB);
    const begun = await begin(ann, bytes.length, { name: 'big.bin', usage: 'document', fingerprint: 'f1' });
    expect(begun.status).toBe(201);
    const path = new URL(begun.headers.get('location')!, `${url}/uploads`).pathname;
    // The repetition of a POST whose answer was lost.
    const again = await begin(ann, bytes.length, { name: 'big.bin', usage: 'document', fingerprint: 'f1' });
    expect(new URL(again.headers.get('location')!, `${url}/uploads`).pathname).toBe(path);

    for (let at = 0; at < 3; at++) {
      const sent = await send(ann, path, at * MiB, bytes.subarray(at * MiB, (at + 1) * MiB));
      expect([sent.status, sent.headers.get('upload-offset')]).toEqual([204, String((at + 1) * MiB)]);
    }
    // In the middle of a PATCH its process is killed.
    open = [bffs[0]!];
    const half = ReadableStream.from(
      (async function* () {
        yield bytes.subarray(3 * MiB, 4 * MiB);
        await bffs[0]!.kill();
      })(),
    );
    const headers = {
      ...TUS,
      'upload-offset': String(3 * MiB),
      'content-type': 'application/offset+octet-stream',
    };
    await ann.ask(path, { method: 'PATCH', headers, body: half }).catch(() => undefined);
    open = [bffs[1]!];
    const head = await ann.ask(path, { method: 'HEAD', headers: TUS });
    const offset = Number(head.headers.get('upload-offset'));
    expect([head.status, offset >= 3 * MiB]).toEqual([200, true]);
    const rest = await send(ann, path, offset, bytes.subarray(offset));
    expect(rest.status).toBe(204);
    const id = path.split('/').at(-1)!;
    expect((await ann.ask(`/api/files/${id}`)).json).toMatchObject({ owner: 'ann', sizeBytes: bytes.length });
    const redirect = await ann.ask(`/files/${id}`);
    const read = await (await fetch(redirect.headers.get('location')!)).arrayBuffer();
    expect(Buffer.from(read).equals(bytes)).toBe(true);
    await bffs[0]!.start();
    open = [...bffs];
  });
});

describe('an upload', () => {
  it('belongs to whoever began it', async () => {
    const [ann, bob] = await Promise.all([Person.signedIn(url, 'ann'), Person.signedIn(url, 'bob')]);
    const begun = await begin(ann, 4, { name: 'a.txt', usage: 'document', owner: 'bob' });
    const path = new URL(begun.headers.get('location')!, `${url}/uploads`).pathname;
    const nobody = new Person(url);
    for (const [person, status] of [
      [bob, 404],
      [nobody, 401],
    ] as const) {
      expect((await person.ask(path, { method: 'HEAD', headers: TUS })).status).toBe(status);
      expect((await send(person, path, 0, Buffer.from('evil'))).status).toBe(status);
      expect((await person.ask(path, { method: 'DELETE', headers: TUS })).status).toBe(status);
    }
    const forged = await ann.ask(path, { method: 'DELETE', headers: { ...TUS, 'x-csrf-token': 'no' } });
    expect([forged.status, forged.json.error.reason]).toEqual([403, 'REQUEST_FORGED']);
    expect((await send(ann, path, 0, Buffer.from('good'))).status).toBe(204);
    const id = path.split('/').at(-1)!;
    expect((await ann.ask(`/api/files/${id}`)).json).toMatchObject({ owner: 'ann', name: 'a.txt' });
  });

  it('is refused with a reason that the page can translate', async () => {
    const ann = await Person.signedIn(url, 'ann');
    const picture = { name: 'a.png', type: 'image/png', usage: 'picture' };
    for (const [size, metadata, status, reason] of [
      [4, { ...picture, type: 'text/plain' }, 415, 'CONTENT_TYPE_NOT_ALLOWED'],
      [64 * MiB, picture, 413, 'FILE_TOO_LARGE'],
      [4, { ...picture, usage: 'secret' }, 400, 'USAGE_UNKNOWN'],
    ] as const) {
      const answer = await begin(ann, size, metadata);
      expect([answer.status, JSON.parse(answer.text).reason]).toEqual([status, reason]);
    }
    const begun = await begin(ann, 6, picture);
    const path = new URL(begun.headers.get('location')!, `${url}/uploads`).pathname;
    const wrong = await send(ann, path, 0, Buffer.from('GIF89a'));
    expect([wrong.status, JSON.parse(wrong.text).reason]).toEqual([415, 'CONTENT_TYPE_MISMATCH']);
    expect(wrong.text).not.toContain(development.service.url);
    // Security headers are on these responses too.
    expect(wrong.headers.get('x-content-type-options')).toBe('nosniff');
  });
});
