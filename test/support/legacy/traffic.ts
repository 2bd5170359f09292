import { setTimeout as sleep } from 'node:timers/promises';
import { clientOf, download, type AssetClient } from '../../e2e/support/calls.ts';
import type { LegacyFile, LegacySystem } from './system.ts';

/** Pauses of each program, in milliseconds: they are to be at work, not to measure the machine. */
const READ_EVERY_MS = 50;
const WRITE_EVERY_MS = 500;

/** What programs saw while they read and wrote. */
export interface TrafficReport {
  readonly reads: number;
  readonly writes: number;
  /** Reads and writes that failed, and reads of other bytes than were written. */
  readonly failures: readonly string[];
}

/** The BFF and the worker of a legacy system, and a caller of the service, at work until they are stopped. */
export class Traffic {
  readonly #legacy: LegacySystem;
  readonly #files: readonly LegacyFile[];
  readonly #failures: string[] = [];
  readonly #loops: Promise<void>[] = [];
  #counts = { reads: 0, writes: 0 };
  #stopped = false;
  #writing = true;
  #service: AssetClient | undefined;
  #serviceReads: Promise<void> = Promise.resolve();

  /** @param files - whole files of the legacy system */
  constructor(legacy: LegacySystem, files: readonly LegacyFile[]) {
    [this.#legacy, this.#files] = [legacy, files];
    const { bff, worker } = legacy;
    const of = (way: string) => files.filter((file) => file.way === way);
    this.#loops.push(
      this.#each(of('bff'), ({ id }) => bff.read(id)),
      this.#each(of('pocketbase'), ({ id }) => worker.read(id)),
      ...[bff, worker].map((program, index) => this.#write(`writer ${index}`, program)),
      this.#each(files, (file) => this.#throughService(file)),
    );
  }

  /** Reads through the service too, or no longer. Resolves when no such read is under way. */
  async useService(url: string | undefined): Promise<void> {
    this.#service = url === undefined ? undefined : clientOf(url);
    await this.#serviceReads;
  }

  /** Ends writes: the old programs read alone from then on. Resolves when none is under way. */
  async stopWriting(): Promise<void> {
    this.#writing = false;
    await Promise.all(this.#loops.slice(2, 4));
  }

  /** Ends everything. */
  async stop(): Promise<TrafficReport> {
    this.#stopped = true;
    await Promise.all(this.#loops);
    return { ...this.#counts, failures: this.#failures };
  }

  async #each(
    files: readonly LegacyFile[],
    read: (file: LegacyFile) => Promise<Buffer | undefined>,
  ): Promise<void> {
    for (let index = 0; !this.#stopped; index++) {
      const file = files[index % files.length]!;
      await this.#expect(file.title, file.content, () => read(file));
      await sleep(READ_EVERY_MS);
    }
  }

  async #write(name: string, program: LegacySystem['bff']): Promise<void> {
    for (let index = 0; !this.#stopped && this.#writing; index++) {
      const content = Buffer.from(`${name} wrote ${index}`);
      await this.#expect(`${name} ${index}`, content, async () => {
        const id = await program.write(`${name} ${index}.txt`, content);
        this.#counts.writes += 1;
        return program.read(id);
      });
      await sleep(WRITE_EVERY_MS);
    }
  }

  /** By id and by old path in turn, as a download and by URL. */
  async #throughService({ id, key }: LegacyFile): Promise<Buffer | undefined> {
    const client = this.#service;
    if (client === undefined) return undefined;
    const work = async () => {
      if (this.#counts.reads % 2 === 0) return (await download(client, id)).content;
      const answer = await client.getFileUrl({ source: { case: 'legacyPath', value: key } });
      const response = await fetch(answer.url);
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      return Buffer.from(await response.arrayBuffer());
    };
    const read = work();
    this.#serviceReads = read.then(
      () => undefined,
      () => undefined,
    );
    return read;
  }

  async #expect(name: string, content: Buffer, read: () => Promise<Buffer | undefined>): Promise<void> {
    try {
      const bytes = await read();
      if (bytes === undefined) return;
      this.#counts.reads += 1;
      if (!bytes.equals(content)) this.#failures.push(`${name}: other bytes`);
    } catch (error) {
      this.#failures.push(`${name}: ${String(error)}`);
    }
  }
}
