import type { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { createWorkerClient, localFileName, type WorkerClient } from '@asset-service/worker';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Code, type ServiceImpl } from '@connectrpc/connect';
import { crc32c } from '@node-rs/crc32';
import { execFile, execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { type Double, serviceError, startDouble } from './clients-double.ts';

const content = randomBytes(300_007);
const sha256 = createHash('sha256').update(content).digest();
const PIECE = 100_000;

/** Bytes that do not have their SHA-256, which only the end of a download tells. */
const DAMAGED = 'damaged00000000';

let base: string;
let folder: string;
let double: Double;
let client: WorkerClient;
/** What the service calls the file. */
let name = 'a.bin';
let calls = 0;

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'download-target-'));
  const methods: Partial<ServiceImpl<typeof AssetService>> = {
    async *downloadFile({ fileId }) {
      calls += 1;
      const file = { id: fileId, name, sizeBytes: BigInt(content.length), checksums: { sha256 } };
      const bytes = fileId === DAMAGED ? Buffer.alloc(content.length, 1) : content;
      if (fileId === 'refused00000000') throw serviceError(Code.NotFound, 'FILE_NOT_FOUND');
      for (let at = 0; at < bytes.length; at += PIECE) {
        const piece = bytes.subarray(at, at + PIECE);
        yield { ...(at === 0 && { file }), data: { content: piece, crc32c: crc32c(piece) } };
      }
    },
  };
  double = await startDouble(methods, {});
  client = createWorkerClient({
    baseUrl: double.baseUrl,
    retry: { retries: 0 },
    timeouts: { transferMs: 0 },
  });
});

afterAll(async () => {
  client.close();
  await double[Symbol.asyncDispose]();
  await rm(base, { recursive: true, force: true });
});

beforeEach(async () => {
  folder = await mkdtemp(join(base, 'case-'));
  name = 'a.bin';
  calls = 0;
});

/** By a process of its own: a pipe that nobody writes to would hold up this one for good. */
async function readPipe(path: string): Promise<Buffer> {
  const options = { encoding: 'buffer', timeout: 120_000, maxBuffer: Infinity } as const;
  return (await promisify(execFile)('cat', [path], options)).stdout;
}

const at = (...path: string[]) => join(folder, ...path);
const holds = async (path: string) => (await readFile(path)).equals(content);
const modeOf = async (path: string) => ((await stat(path)).mode & 0o777).toString(8);
/** Everything in the folder of the test, so that nothing is left over unseen. */
const names = async () => (await readdir(folder)).sort();

describe('the path of a download', () => {
  it.each([
    ['244 bytes of kanji', `${'漢'.repeat(80)}.txt`],
    ['255 bytes of kanji', `${'漢'.repeat(83)}.txt12`],
    ['255 letters', 'x'.repeat(255)],
  ])('may have a name of %s', async (_what, long) => {
    await client.downloadToFile('abc', at(long));
    expect(await holds(at(long))).toBe(true);
    expect(await names()).toEqual([long]);
  });

  it('that cannot be written is reported before the download, with its own reason', async () => {
    await writeFile(at('file'), 'x');
    await writeFile(at('locked'), 'x', { mode: 0o400 });
    const impossible = [`${'漢'.repeat(84)}.txt9999`, 'none/a.bin', 'file/a.bin', 'none/', ''];
    const codes = ['ENAMETOOLONG', 'ENOENT', 'ENOTDIR', 'ENOENT', 'ENOENT'];
    for (const [index, path] of impossible.entries()) {
      const given = path === '' ? '' : `${folder}/${path}`;
      await expect(client.downloadToFile('abc', given)).rejects.toMatchObject({
        name: 'AssetClientError',
        code: 'FAILED_PRECONDITION',
        reason: 'TARGET_FAILED',
        message: expect.stringContaining(codes[index]!) as unknown,
      });
    }
    if (process.getuid?.() !== 0) {
      await expect(client.downloadToFile('abc', at('locked'))).rejects.toMatchObject({
        message: expect.stringContaining('EACCES') as unknown,
      });
    }
    expect(calls).toBe(0);
    expect(await names()).toEqual(['file', 'locked']);
  });

  it('keeps the mode of a file that is replaced, and gives a new one that of the process', async () => {
    await writeFile(at('private'), 'x');
    await chmod(at('private'), 0o600);
    await writeFile(at('script'), 'x');
    await chmod(at('script'), 0o751);
    const before = process.umask(0o027);
    try {
      for (const path of ['private', 'script', 'fresh']) await client.downloadToFile('abc', at(path));
    } finally {
      process.umask(before);
    }
    expect(await Promise.all(['private', 'script', 'fresh'].map((path) => modeOf(at(path))))).toEqual([
      ...['600', '751', '640'],
    ]);
    expect(await holds(at('private'))).toBe(true);
  });

  it('may be a link: what it leads to is written, and it stays', async () => {
    await mkdir(at('other', 'deep'), { recursive: true });
    await writeFile(at('other', 'target'), 'x', { mode: 0o600 });
    await symlink('other/deep', at('folder'));
    // Read by name this would be `missing` beside the link; it is `other/missing`.
    const links = {
      first: 'other/target',
      second: 'first',
      dangling: 'other/new',
      parent: 'folder/../missing',
    };
    for (const [link, target] of Object.entries(links)) await symlink(target, at(link));
    for (const link of Object.keys(links)) {
      const got = await client.downloadToFile('abc', at(link));
      expect(got.path).toBe(at(link));
      expect((await lstat(at(link))).isSymbolicLink()).toBe(true);
      expect(await readlink(at(link))).toBe(links[link as keyof typeof links]);
      expect(await holds(at(link))).toBe(true);
    }
    expect(await modeOf(at('other', 'target'))).toBe('600');
    expect((await readdir(at('other'))).sort()).toEqual(['deep', 'missing', 'new', 'target']);
    await symlink('loop', at('loop'));
    await symlink('none/x', at('nowhere'));
    for (const link of ['loop', 'nowhere']) {
      await expect(client.downloadToFile('abc', at(link))).rejects.toMatchObject({ reason: 'TARGET_FAILED' });
    }
    expect(await names()).toEqual([...Object.keys(links), 'folder', 'loop', 'nowhere', 'other'].sort());
  });

  it('may be a named pipe, which is written to and stays', async () => {
    execFileSync('mkfifo', [at('pipe')]);
    const [read] = await Promise.all([readPipe(at('pipe')), client.downloadToFile('abc', at('pipe'))]);
    expect(read.equals(content)).toBe(true);
    expect((await lstat(at('pipe'))).isFIFO()).toBe(true);
    // Nobody reads it: whoever waits may give up.
    const stop = new AbortController();
    const waiting = client.downloadToFile('abc', at('pipe'), { signal: stop.signal });
    stop.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(await names()).toEqual(['pipe']);
  });

  it('may be a directory, which receives the file and loses nothing', async () => {
    name = '.bashrc';
    const got = await client.downloadToFile('abc', folder);
    expect(got).toMatchObject({ id: 'abc', name: '.bashrc', path: at('bashrc') });
    expect(await holds(at('bashrc'))).toBe(true);
    name = 'taken.txt';
    await symlink('nothing', at('taken.txt'));
    await writeFile(at('mine.txt'), 'mine');
    for (name of ['taken.txt', 'mine.txt', 'bashrc']) {
      await expect(client.downloadToFile('abc', folder)).rejects.toMatchObject({
        code: 'ALREADY_EXISTS',
        reason: 'TARGET_EXISTS',
        message: expect.stringContaining(name) as unknown,
      });
    }
    expect(await readFile(at('mine.txt'), 'utf8')).toBe('mine');
    expect(await names()).toEqual(['bashrc', 'mine.txt', 'taken.txt']);
  });

  it('never shows half a file, and nothing is left of it', async () => {
    await writeFile(at('kept'), 'what was there', { mode: 0o600 });
    for (const path of [at('kept'), at('new'), folder]) {
      await expect(client.downloadToFile(DAMAGED, path)).rejects.toMatchObject({
        reason: 'DOWNLOAD_DAMAGED',
      });
      await expect(client.downloadToFile('refused00000000', path)).rejects.toMatchObject({
        code: 'NOT_FOUND',
      });
      const stop = new AbortController();
      const options = { signal: stop.signal, onProgress: () => stop.abort() };
      await expect(client.downloadToFile('abc', path, options)).rejects.toMatchObject({ code: 'CANCELLED' });
    }
    expect(await readFile(at('kept'), 'utf8')).toBe('what was there');
    expect(await names()).toEqual(['kept']);
  });

  it('may be a stream, which stays open, is checked, and slows the download down', async () => {
    const to = new PassThrough({ highWaterMark: 1 });
    const read = buffer(to);
    expect((await client.downloadTo('abc', to)).sizeBytes).toBe(content.length);
    expect(to.writableEnded).toBe(false);
    to.end();
    expect((await read).equals(content)).toBe(true);
    await expect(client.downloadTo(DAMAGED, new PassThrough().resume())).rejects.toMatchObject({
      reason: 'DOWNLOAD_DAMAGED',
    });
    const gone = new Writable({
      write: (_chunk, _encoding, done) => done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })),
    });
    await expect(client.downloadTo('abc', gone)).rejects.toMatchObject({ reason: 'TARGET_FAILED' });
    const stuck = new Writable({ write: () => undefined });
    const stop = new AbortController();
    const waiting = client.downloadTo('abc', stuck, { signal: stop.signal });
    setTimeout(() => stop.abort(), 50);
    await expect(waiting).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});

describe('the local name of a file', () => {
  it.each([
    ['report.pdf', 'report.pdf'],
    ['Übersicht 漢字 👩‍💻.txt', 'Übersicht 漢字 👩‍💻.txt'],
    ['.bashrc', 'bashrc'],
    ['..', 'abc'],
    ['...', 'abc'],
    ['', 'abc'],
    [' . .hidden', 'hidden'],
    ['-rf', 'rf'],
    ['-', 'abc'],
    ['../../etc/passwd', '_.._etc_passwd'],
    ['/etc/passwd', '_etc_passwd'],
    ['C:\\temp\\x.txt', 'C__temp_x.txt'],
    ['a\u0000b\nc\u001b[31m.txt', 'a_b_c_[31m.txt'],
    ['a\u0085b\u2028c', 'a_b_c'],
    ['abc\u202efdp.exe', 'abc_fdp.exe'],
    ['half \ud800 pair', 'half _ pair'],
    ['CON', '_CON'],
    ['nul.tar.gz', '_nul.tar.gz'],
    ['com1.txt', '_com1.txt'],
    ['console.log', 'console.log'],
    ['ends. . ', 'ends'],
    ['what?*.txt', 'what__.txt'],
  ])('of %j is %j', (given, wanted) => {
    expect(localFileName({ id: 'abc', name: given })).toBe(wanted);
  });

  it('has at most 255 bytes, is cut between characters and keeps its ending', () => {
    expect(localFileName({ id: 'abc', name: `${'漢'.repeat(200)}.jpeg` })).toBe(`${'漢'.repeat(83)}.jpeg`);
    // A family is one character of 25 bytes.
    const family = '👨‍👩‍👧‍👦';
    expect(localFileName({ id: 'abc', name: family.repeat(20) })).toBe(family.repeat(10));
    expect(localFileName({ id: 'abc', name: `x.${'y'.repeat(300)}` })).toBe(`x.${'y'.repeat(253)}`);
    expect(localFileName({ id: 'abc', name: `e${'\u0301'.repeat(200)}.txt` })).toBe('abc');
  });
});
