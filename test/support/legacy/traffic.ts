import { setTimeout as sleep } from 'node:timers/promises';
import { clientOf, download, type AssetClient } from '../../e2e/support/calls.ts';
import type { LegacyFile, LegacySystem } from './system.ts';

/** Pauses of each program, in milliseconds, so that they do not load the machine. */
const READ_EVERY_MS = 50;
const WRITE_EVERY_MS = 500;

/** Results of the reads and writes of the programs. */
export interface TrafficReport {
  readonly reads: number;
  readonly writes: number;
  /** Failed reads and writes, and reads of wrong bytes. */
  readonly failures: readonly string[];
}

/** The BFF and the worker of a legacy system, and a caller of the service, which run until they are stopped. */
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

  /** Starts or stops reads through the service. Resolves when no such read is running. */
  async useService(url: string | undefined): Promise<void> {
    this.#service = url === undefined ? undefined : clientOf(url);
    await this.#serviceReads;
  }

  /** Stops writes: the old programs only read from then on. Resolves when no write is running. */
  async stopWriting(): Promise<void> {
    this.#writing = false;
    await Promise.all(this.#loops.slice(2, 4));
  }

  /** Stops all programs. */
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

  /** Reads alternately by id and by old path, as a download and by URL. */
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
