import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import fc from 'fast-check';
import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { FileRecord } from '../../src/catalog/file-catalog.ts';
import type { FilesContext } from '../../src/files/context.ts';
import { ANONYMOUS } from '../../src/identity/caller.ts';
import { deleteFile, undeleteFile } from '../../src/files/delete.ts';
import { updateMetadata } from '../../src/files/update.ts';
import { openFile } from '../../src/files/download.ts';
import { cancelUpload, getUpload, resumeUpload } from '../../src/files/upload/resume.ts';
import { startUpload } from '../../src/files/upload/start.ts';
import { sweep } from '../../src/files/sweep/sweep.ts';
import { uploadFile } from '../../src/files/upload/upload-file.ts';
import { summed, type Chunk } from '../../src/files/upload/checksums.ts';
import type { ContentEnd } from '../../src/files/upload/inflow.ts';
import { isAssetError } from '../../src/errors/asset-error.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { FULL } from './support/report.ts';
import {
  CRASHED,
  OnTheirWay,
  PART_BYTES,
  startProcessDouble,
  TTL_MS,
  type ProcessDouble,
} from './support/process-double.ts';

const FOREVER = new AbortController().signal;
const RUNS = FULL ? 2_000 : 150;

/** An action of one caller. `which` selects one of its files or request ids. */
const STEP = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('upload' as const), which: fc.nat(3), size: fc.nat(3_500) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('resume' as const), which: fc.nat(3), size: fc.nat(3_500) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom(...(['update', 'delete', 'undelete', 'cancel', 'read', 'sweep', 'sleep'] as const)),
      which: fc.nat(3),
      size: fc.constant(0),
    }),
  },
);

type Step = typeof STEP extends fc.Arbitrary<infer T> ? T : never;

/** State of one file in the model. */
interface Expected {
  readonly id: string;
  readonly content: Uint8Array;
  name: string;
  /** Time on the test's clock from which it may be purged; undefined while it is not deleted. */
  purgeTime?: number;
}

/** One caller with its own request ids; after a crash it repeats the interrupted action. */
class Caller {
  readonly files = new Map<string, Expected>();
  /** Content of a request id: always the same, because a file that may be purged may still exist. */
  readonly #contents = new Map<string, Uint8Array>();
  readonly #name: string;
  readonly #living: () => Promise<ProcessDouble>;
  readonly #onTheirWay: OnTheirWay;

  constructor(name: string, living: () => Promise<ProcessDouble>, onTheirWay: OnTheirWay) {
    this.#name = name;
    this.#living = living;
    this.#onTheirWay = onTheirWay;
  }

  async take(steps: readonly Step[]): Promise<void> {
    for (const step of steps) await this.#take(step);
  }

  async #take(step: Step): Promise<void> {
    const key = `${this.#name}-${step.which}`;
    const known = this.#current(key);
    switch (step.do) {
      case 'upload': {
        const content = this.#content(key, step.size);
        return this.#expect(
          key,
          content,
          (await this.#until((files) => uploadFile(files, ANONYMOUS, newUpload(key, content), FOREVER))).file,
        );
      }
      case 'resume':
        return this.#resume(key, this.#content(key, step.size), step.size / 2);
      case 'cancel': {
        const { uploadId } = await this.#until((files) =>
          startUpload(files, ANONYMOUS, newUpload(key, this.#content(key, 10)), FOREVER),
        );
        await this.#until(
          (files) => cancelUpload(files, ANONYMOUS, uploadId, FOREVER),
          ['UPLOAD_NOT_FOUND', 'UPLOAD_FINISHED'],
        );
        return;
      }
      case 'update': {
        if (!known || known.purgeTime !== undefined) return;
        const name = `${key} ${known.name.length}`;
        const wanted = { ...described(name), relations: {}, attributes: {} };
        const update = { fileId: known.id, etag: '', wanted, paths: ['name'] };
        const file = await this.#until((files) => updateMetadata(files, ANONYMOUS, update, FOREVER));
        expect(file.name).toBe(name);
        known.name = name;
        return;
      }
      case 'delete': {
        if (!known || known.purgeTime !== undefined) return;
        // Set before the call: a concurrent sweep may purge the file before the response arrives.
        known.purgeTime = Date.now() + TTL_MS;
        const file = await this.#until(
          (files) => deleteFile(files, ANONYMOUS, known.id, '', FOREVER),
          ['FILE_DELETED', 'FILE_NOT_FOUND'],
        );
        if (typeof file === 'object') known.purgeTime = file.purgeTime!.getTime();
        return;
      }
      case 'undelete': {
        if (known?.purgeTime === undefined) return;
        const file = await this.#until(
          (files) => undeleteFile(files, ANONYMOUS, known.id, '', FOREVER),
          ['FILE_NOT_FOUND', 'FILE_NOT_DELETED'],
        );
        if (file === 'FILE_NOT_FOUND') expect(known.purgeTime).toBeLessThanOrEqual(Date.now());
        else delete known.purgeTime;
        if (file === 'FILE_NOT_FOUND') this.files.delete(key);
        return;
      }
      case 'read':
        if (known && known.purgeTime === undefined) await expectReadable(await this.#living(), known);
        return;
      case 'sweep':
        await this.#until((files) => sweep(files, FOREVER, () => Promise.resolve()));
        return;
      case 'sleep':
        // Longer than reservations and sessions live, so that every running upload is too late. Requests to the store
        // end before that.
        await this.#onTheirWay.settled();
        jest.setSystemTime(Date.now() + TTL_MS + 1);
    }
  }

  async #resume(key: string, content: Uint8Array, pieceBytes: number): Promise<void> {
    let uploadId: string | undefined;
    let durable = 0;
    for (;;) {
      const wanted = newUpload(key, content);
      if (uploadId === undefined) {
        ({ uploadId } = await this.#until((files) => startUpload(files, ANONYMOUS, wanted, FOREVER)));
        durable = 0;
      }
      const id: string = uploadId;
      const now = Date.now();
      const where = await this.#until(
        (files) => getUpload(files, ANONYMOUS, id, FOREVER),
        ['UPLOAD_NOT_FOUND'],
      );
      if (where === 'UPLOAD_NOT_FOUND') {
        uploadId = undefined;
        continue;
      }
      if ('file' in where) return this.#expect(key, content, where.file);
      if (Date.now() === now) expect(where.persistedSize).toBeGreaterThanOrEqual(durable);
      const at = where.persistedSize;
      const piece = content.subarray(at, at + Math.max(Math.ceil(pieceBytes), Math.ceil(content.length / 4)));
      const finish = at + piece.length >= content.length;
      const appendix = { writeOffset: at, content: once(piece, finish) };
      const sent = await this.#once((files) => resumeUpload(files, ANONYMOUS, id, appendix, FOREVER));
      if (sent !== undefined && 'persistedSize' in sent) durable = sent.persistedSize;
    }
  }

  #content(key: string, size: number): Uint8Array {
    const content = this.#contents.get(key) ?? bytesOf(key, size);
    this.#contents.set(key, content);
    return content;
  }

  /** The file of a request id, unless it may have been purged. */
  #current(key: string): Expected | undefined {
    const known = this.files.get(key);
    if (known?.purgeTime === undefined || known.purgeTime > Date.now()) return known;
    this.files.delete(key);
    return undefined;
  }

  #expect(key: string, content: Uint8Array, file: FileRecord): void {
    const known = this.files.get(key);
    if (known && known.purgeTime === undefined) expect(file.id).toBe(known.id);
    expect(file.sizeBytes).toBe(content.length);
    expect(Buffer.from(file.sha256!).equals(createHash('sha256').update(content).digest())).toBe(true);
    if (known?.id === file.id) return;
    this.files.set(key, {
      id: file.id,
      content,
      name: file.name,
      ...(file.purgeTime && { purgeTime: file.purgeTime.getTime() }),
    });
  }

  /** Repeats a use case until it succeeds or fails with one of the reasons in `answers`. */
  #until<T>(useCase: (files: FilesContext) => Promise<T>): Promise<T>;
  #until<T, A extends Parameters<typeof isAssetError>[1]>(
    useCase: (files: FilesContext) => Promise<T>,
    answers: A[],
  ): Promise<T | A>;
  async #until<T>(useCase: (files: FilesContext) => Promise<T>, answers: string[] = []): Promise<T | string> {
    for (;;) {
      try {
        return await (await this.#living()).run(useCase);
      } catch (error) {
        if (isAssetError(error) && answers.includes(error.reason)) return error.reason;
        assertAgain(error);
      }
    }
  }

  async #once<T>(useCase: (files: FilesContext) => Promise<T>): Promise<T | undefined> {
    try {
      return await (await this.#living()).run(useCase);
    } catch (error) {
      assertAgain(error);
      return undefined;
    }
  }
}

/** Permitted errors for a caller that is too late or whose process crashed. */
function assertAgain(error: unknown): void {
  if (error === CRASHED) return;
  if (isAssetError(error, 'UPLOAD_EXPIRED', 'UPLOAD_TAKEN_OVER', 'CONCURRENT_CHANGE', 'UPLOAD_NOT_FOUND'))
    return;
  throw error;
}

describe('the use cases beside a model, in any order, with crashes', () => {
  beforeEach(() => {
    // Only the clock is faked; timers are real.
    jest.useFakeTimers({
      doNotFake: [
        ...([
          'hrtime',
          'nextTick',
          'performance',
          'queueMicrotask',
          'setImmediate',
          'clearImmediate',
        ] as const),
        ...(['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] as const),
      ],
    });
  });

  afterEach(() => {
    jest.useRealTimers();
  });

  it(
    'loses nothing, shows nothing half, and leaves nothing',
    async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.scheduler(),
          fc.array(fc.array(STEP, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 3 }),
          fc.array(fc.integer({ min: 1, max: 25 }), { maxLength: 4 }),
          async (scheduler, scripts, lives) => {
            const dir = await makeDir('model');
            try {
              await play(dir, scheduler, scripts, [...lives]);
            } finally {
              await removeDir(dir);
            }
          },
        ),
        // A run takes less than a second; one that hangs is reported with its steps.
        {
          numRuns: RUNS,
          endOnFailure: !FULL,
          timeout: 60_000,
          ...(!FULL && { interruptAfterTimeLimit: 120_000 }),
        },
      );
    },
    FULL ? 1_800_000 : 240_000,
  );
});

/**
 * Runs the scripts of the callers in the order of the scheduler, on processes that crash after the given numbers of
 * points.
 */
async function play(dir: string, scheduler: fc.Scheduler, scripts: Step[][], lives: number[]): Promise<void> {
  let over = false;
  const turn = (call: string) => (over ? Promise.resolve() : scheduler.schedule(Promise.resolve(), call));
  const onTheirWay = new OnTheirWay();
  const start = () => startProcessDouble(dir, turn, lives.shift() ?? Infinity, onTheirWay);
  const buried: ProcessDouble[] = [];
  let living = start();
  const current = async (): Promise<ProcessDouble> => {
    const double = await living;
    if (!double.crashed) return double;
    if (!buried.includes(double)) {
      buried.push(double);
      living = start();
    }
    return current();
  };
  const callers = scripts.map((_script, index) => new Caller(`caller${index}`, current, onTheirWay));
  await scheduler.waitFor(Promise.all(callers.map((caller, index) => caller.take(scripts[index]!))));
  over = true;
  await scheduler.waitIdle();
  await onTheirWay.settled();

  // A day later everything that may be removed is gone.
  const last = await startProcessDouble(dir, () => Promise.resolve(), Infinity, onTheirWay);
  for (const double of [...buried, await living]) await double.close();
  for (let sweeps = 0; sweeps < 2; sweeps++) {
    jest.setSystemTime(Date.now() + 3 * TTL_MS);
    await last.run((files) => sweep(files, FOREVER, () => Promise.resolve()));
  }
  const expected = callers.flatMap(({ files }) => [...files.values()]);
  const live = expected.filter(({ purgeTime }) => purgeTime === undefined);
  for (const file of live) await expectReadable(last, file);
  const records = await last.run((files) =>
    files.catalog.list({ filter: {}, showDeleted: true, limit: 1_000 }),
  );
  expect(records.map(({ id }) => id).toSorted()).toEqual(live.map(({ id }) => id).toSorted());
  expect((await blobsIn(dir)).map((name) => basename(name)).toSorted()).toEqual(
    live.map(({ id }) => id).toSorted(),
  );
  await last.run(async ({ catalog }) => {
    const later = new Date(Date.now() + 100 * TTL_MS);
    expect(await catalog.uploads.takeClosed(later, 100)).toEqual([]);
    expect(await catalog.uploads.takeClosed(later, 100)).toEqual([]);
  });
  await last.close();
}

/** Reads a file and compares it with the model. */
async function expectReadable(process: ProcessDouble, { id, content, name }: Expected): Promise<void> {
  try {
    const { file, content: stream } = await process.run((files) =>
      openFile(files, ANONYMOUS, { fileId: id }, 0, 0, FOREVER),
    );
    expect(file).toMatchObject({ id, name, sizeBytes: content.length });
    expect(Buffer.concat(stream ? await stream.toArray() : []).equals(content)).toBe(true);
  } catch (error) {
    if (error !== CRASHED) throw error;
  }
}

/** Names of all blobs in the filesystem store, finished or not. */
async function blobsIn(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && !basename(entry.name).startsWith('catalog.sqlite'))
    .map((entry) => join(entry.parentPath, entry.name).slice(dir.length).replace(/~$/, ''));
}

function newUpload(key: string, content: Uint8Array) {
  return {
    ...{ description: described(key), sizeBytes: content.length, requestId: key, direct: false },
    content: once(content, true),
  };
}

function described(name: string) {
  return {
    name,
    contentType: 'application/octet-stream',
    owner: '',
    usage: '',
    relations: {},
    attributes: {},
  };
}

/** Content of a request id: another size gives other content. */
function bytesOf(key: string, size: number): Uint8Array {
  const seed = createHash('sha256').update(`${key} ${size}`).digest();
  return Buffer.alloc(size, seed);
}

async function* once(content: Uint8Array, isComplete: boolean): AsyncGenerator<Chunk, ContentEnd, undefined> {
  for (let at = 0; at < content.length; at += PART_BYTES / 2) {
    yield summed(content.subarray(at, at + PART_BYTES / 2));
  }
  return { expected: {}, isComplete };
}
