import type { Readable } from 'node:stream';
import pLimit from 'p-limit';
import type { AssetError } from '../errors/asset-error.ts';
import { START_RETRY_MS, variantsUnavailable } from '../errors/variants.ts';
import { JobFailure, type Job, type Made } from './job.ts';
import { ChildEnded, RenderProcess, type JobLimits } from './child-process.ts';

/** Options of a {@link Renderer}. */
export interface RendererOptions extends JobLimits {
  /** Number of processes. */
  readonly concurrency: number;
}

/** Jobs after which a process is replaced, so that what it leaks is freed. */
const JOBS_PER_PROCESS = 200;

/** Memory above which a process without a job is replaced, in bytes. */
const IDLE_MEMORY_BYTES = 192 * 1024 * 1024;

/** How long a process may have nothing to do before it is ended, in milliseconds. */
const IDLE_MS = 30_000;

interface Worker {
  readonly process: RenderProcess;
  jobs: number;
  timer?: NodeJS.Timeout;
}

/** Makes images in child processes, which are started when needed and used for several images. */
export class Renderer {
  readonly #options: RendererOptions;
  readonly #limit: ReturnType<typeof pLimit>;
  readonly #idle: Worker[] = [];
  readonly #all = new Set<RenderProcess>();
  /** Why the last process did not start, and until when no other one is started. */
  #fault: { readonly error: AssetError; readonly until: number } | undefined;

  constructor(options: RendererOptions) {
    this.#options = options;
    this.#limit = pLimit(options.concurrency);
  }

  /** Number of processes that may work at the same time. */
  get concurrency(): number {
    return this.#options.concurrency;
  }

  /** Number of variants that are being made. */
  get active(): number {
    return this.#limit.activeCount;
  }

  /** Number of variants that wait for a free process. */
  get waiting(): number {
    return this.#limit.pendingCount;
  }

  /** Runs work when there is a free process for it. */
  whenFree<T>(work: () => Promise<T>): Promise<T> {
    return this.#limit(work);
  }

  /**
   * Makes an image; call it within {@link whenFree}.
   *
   * @param open - opens the bytes of the file
   * @throws JobFailure if no image can be made; AssetError VARIANTS_UNAVAILABLE if no process starts
   */
  async render(
    open: () => Promise<Readable>,
    sizeBytes: number,
    job: Job,
    signal: AbortSignal,
  ): Promise<Made> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#run(await open(), sizeBytes, job, signal);
      } catch (error) {
        if (!(error instanceof ChildEnded) || signal.aborted) throw error;
        // A decoder that crashes does so by this image.
        if (!error.isFromOutside) throw new JobFailure('damaged', error.message);
        // Twice is no accident: the system ends processes for want of memory.
        if (attempt === 2) throw new JobFailure('too-much-memory', error.message);
      }
    }
  }

  async #run(file: Readable, sizeBytes: number, job: Job, signal: AbortSignal): Promise<Made> {
    const worker = await this.#take().catch((error: unknown) => {
      file.destroy();
      throw error;
    });
    try {
      return await worker.process.run(file, sizeBytes, job, this.#options, signal);
    } finally {
      this.#giveBack(worker);
    }
  }

  /** Ends all processes. */
  async close(): Promise<void> {
    for (const { timer } of this.#idle) clearTimeout(timer);
    await Promise.all([...this.#all].map((process) => process.close()));
  }

  async #take(): Promise<Worker> {
    for (let worker = this.#idle.pop(); worker !== undefined; worker = this.#idle.pop()) {
      clearTimeout(worker.timer);
      if (worker.process.isUsable) return worker;
      this.#all.delete(worker.process);
    }
    const process = await this.#start();
    this.#all.add(process);
    return { process, jobs: 0 };
  }

  async #start(): Promise<RenderProcess> {
    if (this.#fault !== undefined && performance.now() < this.#fault.until) throw this.#fault.error;
    try {
      return await RenderProcess.start();
    } catch (cause) {
      const error = variantsUnavailable(cause);
      this.#fault = { error, until: performance.now() + START_RETRY_MS };
      throw error;
    }
  }

  #giveBack(worker: Worker): void {
    const { process } = worker;
    worker.jobs += 1;
    const isWornOut = worker.jobs >= JOBS_PER_PROCESS || process.memoryBytes > IDLE_MEMORY_BYTES;
    if (!process.isUsable || isWornOut) return this.#end(process);
    this.#idle.push(worker);
    worker.timer = setTimeout(() => {
      this.#idle.splice(this.#idle.indexOf(worker), 1);
      this.#end(process);
    }, IDLE_MS);
    worker.timer.unref();
  }

  #end(process: RenderProcess): void {
    process.kill();
    this.#all.delete(process);
  }
}
