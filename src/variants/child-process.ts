import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { constants, setPriority } from 'node:os';
import { extname } from 'node:path';
import type { Duplex, Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { tooManyVariants } from '../errors/limits.ts';
import { CHECK, engineFault } from './engine.ts';
import { FrameReader, frameHeader } from './frames.ts';
import { JobFailure, MAX_RESULT_BYTES, type Job, type JobAnswer, type Made } from './job.ts';
import { usageOf } from './process-usage.ts';

/** What one job may take. */
export interface JobLimits {
  /**
   * CPU time in milliseconds. Where it cannot be measured (other systems than Linux) it limits the time. Otherwise the
   * time may be six times as long, because a busy machine is not the fault of the image.
   */
  readonly timeoutMs: number;
  /** Resident memory of the process in bytes; only on Linux. */
  readonly memoryBytes: number;
}

/** How long a new process may take to start, in milliseconds. */
const START_TIMEOUT_MS = 30_000;

/** Interval between two looks at what the process uses, in milliseconds. */
const CHECK_MS = 20;

/** What is kept of the error output of a process, in characters. */
const MAX_ERROR_OUTPUT = 4_000;

const PROGRAM = fileURLToPath(new URL(`./child${extname(import.meta.url)}`, import.meta.url));

/** One child process that decodes images, one at a time. It has neither the settings nor the credentials of this one. */
export class RenderProcess {
  readonly #child: ChildProcess;
  readonly #parent: Duplex;
  readonly #frames: FrameReader;
  readonly #ended: Promise<void>;
  /** The bytes that it is getting. */
  #file: Readable | undefined;
  #errors = '';
  /** What ended it. */
  #signal: NodeJS.Signals | undefined;
  /** Why it was killed. */
  #reason: Error | undefined;
  #isUsable = true;

  private constructor(args: readonly string[]) {
    this.#child = spawn(process.execPath, ['--max-old-space-size=128', PROGRAM, ...args], {
      cwd: '/',
      env: { MALLOC_ARENA_MAX: '2', UV_THREADPOOL_SIZE: '2' },
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    });
    this.#parent = this.#child.stdio[3] as Duplex;
    this.#frames = new FrameReader(this.#parent);
    // The reader notices a broken connection.
    this.#parent.on('error', () => undefined);
    this.#child.stderr!.on('data', (text: Buffer) => {
      this.#errors = (this.#errors + text.toString()).slice(-MAX_ERROR_OUTPUT);
    });
    this.#ended = new Promise((resolve) => {
      const end = (_code?: number | null, signal?: NodeJS.Signals | null) => {
        this.#signal = signal ?? undefined;
        this.#isUsable = false;
        this.#parent.destroy();
        this.#file?.destroy();
        resolve();
      };
      this.#child.once('close', end);
      this.#child.once('error', (error: Error) => {
        this.#errors = error.message;
        end();
      });
    });
  }

  /** Starts a process. Rejects with {@link engineFault} if it cannot work, for example without sharp. */
  static start(): Promise<RenderProcess> {
    return RenderProcess.#start([]);
  }

  /** Rejects with {@link engineFault} if such a process cannot work here, all of its libraries included. */
  static async check(): Promise<void> {
    const started = await RenderProcess.#start([CHECK]);
    await started.close();
  }

  static async #start(args: readonly string[]): Promise<RenderProcess> {
    const started = new RenderProcess(args);
    const tooLate = new Error(
      `the process that makes variants did not start within ${START_TIMEOUT_MS / 1_000} s`,
    );
    const timer = setTimeout(() => started.kill(tooLate), START_TIMEOUT_MS);
    try {
      started.#lowerPriority();
      await started.#header();
      return started;
    } catch (error) {
      started.kill();
      // Not a ChildEnded: no image is to blame.
      throw started.#reason ?? new Error(engineFault(started.#errors), { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }

  /** True unless it has ended or was killed. */
  get isUsable(): boolean {
    return this.#isUsable;
  }

  /** Resident memory in bytes; 0 if it cannot be measured. */
  get memoryBytes(): number {
    return usageOf(this.#child.pid)?.memoryBytes ?? 0;
  }

  /**
   * Makes an image. After any failure except one that the process itself reports, the process is killed.
   *
   * @param file - the bytes; destroyed at the end
   * @throws JobFailure if no image can be made of them; what `file` fails with; ChildEnded
   */
  async run(
    file: Readable,
    sizeBytes: number,
    job: Job,
    limits: JobLimits,
    signal: AbortSignal,
  ): Promise<Made> {
    let fileError: Error | undefined;
    file.once('error', (error) => (fileError = error));
    this.#file = file;
    const stop = () => this.kill(signal.reason as Error);
    signal.addEventListener('abort', stop, { once: true });
    const endChecks = this.#watch(limits);
    try {
      signal.throwIfAborted();
      this.#parent.write(frameHeader({ ...job, sizeBytes }));
      await this.#send(file);
      return await this.#answer();
    } catch (error) {
      if (error instanceof JobFailure) throw error;
      const wasKilled = this.#reason;
      this.kill();
      await this.#ended;
      throw wasKilled ?? fileError ?? new ChildEnded(this.#errors, this.#signal);
    } finally {
      endChecks();
      signal.removeEventListener('abort', stop);
      this.#file = undefined;
      file.destroy();
    }
  }

  /** Ends it at once. `reason`: what its job fails with. */
  kill(reason?: Error): void {
    this.#reason ??= reason;
    this.#isUsable = false;
    this.#child.kill('SIGKILL');
  }

  /** Ends it and waits until it is gone. */
  async close(): Promise<void> {
    this.kill();
    await this.#ended;
  }

  /** Kills it if a job takes too much; returns a function that ends this. */
  #watch({ timeoutMs, memoryBytes }: JobLimits): () => void {
    const before = usageOf(this.#child.pid);
    const isMeasured = before !== undefined;
    const tooSlow = () => new JobFailure('too-slow', `it took more than ${timeoutMs / 1000} s of CPU time`);
    const timer = setTimeout(
      () => this.kill(isMeasured ? tooManyVariants() : tooSlow()),
      isMeasured ? timeoutMs * 6 : timeoutMs,
    );
    const checks = setInterval(() => {
      const now = usageOf(this.#child.pid);
      if (now === undefined || before === undefined) return;
      if (now.memoryBytes > memoryBytes) {
        this.kill(new JobFailure('too-much-memory', `it took more than ${memoryBytes} bytes of memory`));
      } else if (now.cpuMs - before.cpuMs > timeoutMs) this.kill(tooSlow());
    }, CHECK_MS);
    return () => {
      clearTimeout(timer);
      clearInterval(checks);
    };
  }

  /** Sends the bytes as fast as the process takes them. */
  async #send(file: Readable): Promise<void> {
    for await (const chunk of file) {
      if (!this.#parent.write(chunk as Buffer))
        await Promise.race([once(this.#parent, 'drain'), this.#ended]);
      if (!this.#isUsable) throw new ChildEnded(this.#errors, this.#signal);
    }
  }

  async #answer(): Promise<Made> {
    const answer = (await this.#header()) as JobAnswer;
    if ('problem' in answer) throw new JobFailure(answer.problem, answer.detail);
    const { format, sizeBytes, thumbhash } = answer;
    const bytes = sizeBytes > MAX_RESULT_BYTES ? undefined : await this.#frames.bytes(sizeBytes);
    if (bytes === undefined) throw new ChildEnded(this.#errors, this.#signal);
    return { format, bytes, thumbhash: thumbhash === '' ? undefined : Buffer.from(thumbhash, 'base64') };
  }

  async #header(): Promise<unknown> {
    const header = await this.#frames.header().catch(() => undefined);
    if (header !== undefined) return header;
    await this.#ended;
    throw new ChildEnded(this.#errors, this.#signal);
  }

  /** Decoding may wait; the calls of the service may not. */
  #lowerPriority(): void {
    const { pid } = this.#child;
    // It did not start. Without an id this would be the process of the service.
    if (pid === undefined) return;
    try {
      setPriority(pid, constants.priority.PRIORITY_BELOW_NORMAL);
    } catch {
      // Not permitted everywhere; it works without.
    }
  }
}

/** Signals that no decoder raises by itself. */
const FROM_OUTSIDE: ReadonlySet<NodeJS.Signals> = new Set(['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP']);

/** The child process ended without an answer. */
export class ChildEnded extends Error {
  /** True if somebody else ended it: an operator, or the system for want of memory. */
  readonly isFromOutside: boolean;

  /** @param output - what it wrote to its error output */
  constructor(output: string, signal: NodeJS.Signals | undefined) {
    super(`the process that makes variants ended: ${output.trim() || (signal ?? 'without a message')}`);
    this.name = 'ChildEnded';
    this.isFromOutside = signal !== undefined && FROM_OUTSIDE.has(signal);
  }
}
