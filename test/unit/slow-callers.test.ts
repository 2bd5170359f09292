import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { auditTo } from '../../src/audit/audit-log.ts';
import type { FileCatalog } from '../../src/catalog/file-catalog.ts';
import { openSqliteCatalog } from '../../src/catalog/sql/sqlite.ts';
import { Admission } from '../../src/files/upload/admission.ts';
import { ANONYMOUS } from '../../src/identity/caller.ts';
import type { FilesContext } from '../../src/files/context.ts';
import { UsagePolicies } from '../../src/files/policy/usage-policies.ts';
import { Quotas } from '../../src/files/quota.ts';
import { RecordLoader } from '../../src/files/record-loader.ts';
import { ReservationPool } from '../../src/files/upload/reservations.ts';
import { resumeUpload } from '../../src/files/upload/resume.ts';
import { startUpload } from '../../src/files/upload/start.ts';
import { uploadFile } from '../../src/files/upload/upload-file.ts';
import { summed } from '../../src/files/upload/checksums.ts';
import type { UploadContent } from '../../src/files/upload/inflow.ts';
import { FilesystemBlobStore } from '../../src/storage/filesystem/filesystem-store.ts';
import { MemoryBudget } from '../../src/storage/memory-budget.ts';
import { SignedUrls } from '../../src/storage/signed-url.ts';
import { eventually } from '../support/eventually.ts';
import { makeDir, removeDir } from '../support/process.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const PART = 5 * MIB;
const MEMORY = 16 * MIB;
const LARGE = 20 * MIB;

/** What a slow caller sends before it stops: little, or so much that all of them together fill the memory. */
const SENT = [
  ['one byte', 1],
  ['a piece of 60 KiB', 60 * KIB],
  ['almost a part', PART - 1],
] as const;

describe('callers that are slow', () => {
  let dir: string;
  let catalog: FileCatalog;
  let context: FilesContext;
  let budget: MemoryBudget;
  /** The most bytes that were ever given out. */
  let most: number;
  let stop: AbortController;
  let slow: Promise<unknown>[];

  beforeEach(async () => {
    dir = await makeDir('slow-callers');
    catalog = openSqliteCatalog({ path: join(dir, 'catalog.sqlite') });
    await catalog.migrate();
    const log = pino({ level: 'silent' });
    budget = new MemoryBudget(MEMORY);
    [most, stop, slow] = [0, new AbortController(), []];
    context = {
      store: new FilesystemBlobStore(join(dir, 'blobs'), new SignedUrls('http://x', Buffer.alloc(32))),
      ...{ catalog, log, budget, records: new RecordLoader(catalog), audit: auditTo([]) },
      policies: new UsagePolicies(),
      reservations: new ReservationPool(catalog.uploads, log, { size: 64, ttlMs: 3_600_000 }),
      ...{ admission: new Admission(1000), quotas: new Quotas() },
      uploads: {
        ...{ partSizeBytes: PART, concurrency: 2, stallTimeoutMs: 600_000 },
        ...{ sessionTtlMs: 3_600_000, graceMs: 3_600_000, maxOpenPerCaller: 0 },
      },
    };
  });

  afterEach(async () => {
    stop.abort(new Error('enough'));
    await Promise.allSettled(slow);
    await eventually(() => expect([budget.usedBytes, budget.waiting]).toEqual([0, 0]));
    expect(most).toBeLessThanOrEqual(MEMORY);
    await context.reservations.close();
    await Promise.all([context.store.close(), catalog.close()]);
    await removeDir(dir);
  });

  /** Begins an upload that sends `first`, and what is pushed later; `sizeBytes` is what it says to be. */
  function begin(first: Uint8Array, sizeBytes: number | undefined, way: 'call' | 'session') {
    const queue: Uint8Array[] = [first];
    let isComplete = false;
    let wake = () => undefined as void;
    async function* content(): UploadContentGenerator {
      for (;;) {
        most = Math.max(most, budget.usedBytes);
        const next = queue.shift();
        if (next) yield summed(next);
        else if (isComplete) return { expected: {}, isComplete };
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    }
    const end = store(content(), sizeBytes, way, stop.signal);
    slow.push(end.catch(() => undefined));
    return {
      end,
      push: (bytes: Uint8Array) => {
        queue.push(bytes);
        wake();
      },
      finish: () => {
        isComplete = true;
        wake();
      },
    };
  }

  async function store(
    content: UploadContent,
    sizeBytes: number | undefined,
    way: 'call' | 'session',
    signal: AbortSignal,
  ) {
    const file = {
      description: {
        ...{ name: 'a.bin', contentType: 'application/octet-stream', owner: '', usage: '' },
        ...{ relations: {}, attributes: {} },
      },
      ...{ sizeBytes, requestId: '' },
    };
    if (way === 'call') return uploadFile(context, ANONYMOUS, { ...file, content }, signal);
    const { uploadId } = await startUpload(context, ANONYMOUS, { ...file, direct: false }, signal);
    return resumeUpload(context, ANONYMOUS, uploadId, { writeOffset: 0, content }, signal);
  }

  /** Stores a file of a quick caller and compares it. */
  async function storeQuickly(size: number): Promise<void> {
    const content = randomBytes(size);
    const upload = begin(new Uint8Array(), size, 'call');
    for (let at = 0; at < size; at += 256 * KIB) upload.push(content.subarray(at, at + 256 * KIB));
    upload.finish();
    await expectStored(await upload.end, content);
  }

  async function expectStored(end: Awaited<ReturnType<typeof store>>, content: Buffer): Promise<void> {
    const { file } = end as Extract<typeof end, { file: unknown }>;
    expect(file.sizeBytes).toBe(content.length);
    expect(Buffer.from(file.sha256!).equals(createHash('sha256').update(content).digest())).toBe(true);
    const hash = createHash('sha256');
    for await (const chunk of await context.store.read(`assets/${file.id.slice(0, 2)}/${file.id}`)) {
      hash.update(chunk as Uint8Array);
    }
    expect(hash.digest().equals(createHash('sha256').update(content).digest())).toBe(true);
  }

  for (const way of ['call', 'session'] as const) {
    it.each(SENT)(
      `keep nobody waiting, each with %s sent of a large file, by ${way}`,
      async (_name, size) => {
        const first = randomBytes(size);
        const callers = size > MIB ? 8 : 40;
        for (let i = 0; i < callers; i++) begin(first, i % 2 === 0 ? LARGE : undefined, way);
        await storeQuickly(16 * KIB);
        await storeQuickly(8 * MIB);
      },
    );
  }

  it.each([
    ['call', LARGE],
    ['call', undefined],
    ['session', LARGE],
    ['session', undefined],
  ] as const)('are stored whole, by %s of %s bytes, while others go on', async (way, sizeBytes) => {
    // So many that what they hold does not fit, and all of it is put away and fetched again.
    const contents = Array.from({ length: 6 }, () => randomBytes(2 * PART + 100 * KIB));
    const said = sizeBytes && contents[0]!.length;
    const uploads = contents.map((content) => begin(content.subarray(0, 4 * MIB), said, way));
    await eventually(() => expect(most).toBeGreaterThan(MEMORY / 4));
    for (let at = 4 * MIB; at < contents[0]!.length; at += 1.5 * MIB) {
      await sleep(100);
      for (const [index, upload] of uploads.entries()) {
        upload.push(contents[index]!.subarray(at, at + 1.5 * MIB));
      }
      await storeQuickly(64 * KIB);
    }
    for (const upload of uploads) upload.finish();
    for (const [index, upload] of uploads.entries()) await expectStored(await upload.end, contents[index]!);
    // Nothing of what was put away is left.
    const blobs = await context.store.listBlobs({ prefix: 'assets/', limit: 1000 });
    const files = await catalog.list({ filter: {}, showDeleted: true, limit: 1000 });
    expect(blobs.map(({ key }) => key.slice(-15)).sort()).toEqual(files.map(({ id }) => id).sort());
  });
});

type UploadContentGenerator = AsyncGenerator<
  ReturnType<typeof summed>,
  { expected: Record<string, never>; isComplete: boolean },
  undefined
>;
