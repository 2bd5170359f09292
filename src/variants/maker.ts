import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FileCatalog, FileRecord } from '../catalog/file-catalog.ts';
import { shuttingDown, tooManyVariants } from '../errors/limits.ts';
import { fileNotFound } from '../errors/records.ts';
import type { VariantProblem } from '../errors/variants.ts';
import { removeBytes, type FileBytes } from '../files/bytes.ts';
import { underLease } from '../files/lease.ts';
import type { VariantDefinition } from '../files/policy/variant-definition.ts';
import { namesOf, THUMBHASH, variantLease, type WantedFormat } from '../files/renditions.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import { reached } from '../system/crash-points.ts';
import { JobFailure } from './job.ts';
import type { Renderer } from './renderer.ts';
import type { RenditionStore, StoredRendition } from './rendition-store.ts';

/** For how long nobody makes the variant after a crash, in milliseconds. */
const LEASE_MS = 10_000;

/** Interval between two looks for a variant that another process makes, in milliseconds. */
const LOOK_MS = 200;

/** How often to look before the caller is told to come back. */
const MAX_LOOKS = 150;

/** Dependencies of a {@link Maker}. */
export interface MakerParts {
  readonly store: BlobStore;
  readonly catalog: FileCatalog;
  readonly renditions: RenditionStore;
  readonly renderer: Renderer;
  /** Number of variants that may wait, besides those being made. */
  readonly maxWaiting: number;
  /** Called when the making of a variant has ended, and how. */
  readonly onMade?: ((outcome: 'made' | VariantProblem | 'error', durationMs: number) => void) | undefined;
}

/** What to make. */
export interface Order {
  readonly file: FileRecord;
  readonly original: (signal: AbortSignal) => Promise<FileBytes>;
  readonly definition: VariantDefinition;
  readonly format: WantedFormat;
}

/** Makes variants, each only once at a time: within the process, and by a lease among all replicas. */
export class Maker {
  readonly #parts: MakerParts;
  readonly #holder = randomUUID();
  readonly #running = new Map<string, Promise<StoredRendition | VariantProblem>>();
  readonly #closed = new AbortController();

  constructor(parts: MakerParts) {
    this.#parts = parts;
  }

  /**
   * Makes what was not found. It is finished and stored even if nobody waits for it any more.
   *
   * @throws AssetError RATE_LIMITED if too many wait, SHUTTING_DOWN, FILE_NOT_FOUND if the file was removed meanwhile
   */
  make(order: Order): Promise<StoredRendition | VariantProblem> {
    const key = variantLease(order.file.id, order.definition, order.format);
    const running = this.#running.get(key);
    if (running) return running;
    const { renderer, maxWaiting } = this.#parts;
    if (this.#running.size >= renderer.concurrency + maxWaiting) return Promise.reject(tooManyVariants());
    const work = this.#make(order, key, this.#closed.signal).finally(() => this.#running.delete(key));
    // Nobody may be waiting.
    work.catch(() => undefined);
    this.#running.set(key, work);
    return work;
  }

  /** Gives up what is being made. */
  async close(): Promise<void> {
    this.#closed.abort(shuttingDown());
    await Promise.allSettled(this.#running.values());
    await this.#parts.renderer.close();
  }

  async #make(order: Order, name: string, signal: AbortSignal): Promise<StoredRendition | VariantProblem> {
    const { renderer, catalog } = this.#parts;
    const lease = { name, holder: this.#holder, ttlMs: LEASE_MS };
    for (let looks = 0; looks < MAX_LOOKS; looks++) {
      signal.throwIfAborted();
      const made = await renderer.whenFree(() =>
        underLease(catalog, lease, signal, (held) => this.#makeAlone(order, held)),
      );
      if (made !== undefined) return made;
      await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
      const found = await this.#find(order, signal);
      if (found !== undefined) return found;
    }
    throw tooManyVariants();
  }

  #find({ file, definition, format }: Order, signal: AbortSignal) {
    return this.#parts.renditions.find(file.id, definition, format, signal);
  }

  async #makeAlone(order: Order, signal: AbortSignal): Promise<StoredRendition | VariantProblem> {
    const { file, original, definition, format } = order;
    const { renditions, renderer, onMade } = this.#parts;
    const fileId = file.id;
    // Another replica may have made it before this one got the lease.
    const earlier = await this.#find(order, signal);
    if (earlier !== undefined) return earlier;
    const thumbhash = (await renditions.thumbhash(fileId, signal)) === undefined;
    const job = { ...definition, format, thumbhash };
    const bytes = await original(signal);
    const open = () => bytes.read({ offset: 0 }, { signal });
    const started = performance.now();
    const tell = (outcome: 'made' | VariantProblem | 'error') =>
      onMade?.(outcome, performance.now() - started);
    try {
      const made = await renderer.render(open, bytes.sizeBytes, job, signal);
      reached('variant.rendered');
      if (made.thumbhash) await renditions.putThumbhash(fileId, made.thumbhash, signal);
      reached('variant.hashed');
      await renditions.put(fileId, definition, made, signal);
      reached('variant.stored');
      tell('made');
    } catch (error) {
      if (!(error instanceof JobFailure)) {
        tell('error');
        throw error;
      }
      const { problem, message: detail } = error;
      tell(problem);
      await renditions.putFailure({ fileId, problem, detail, definition, format }, signal);
    }
    await this.#assertThere(order, signal);
    return (await this.#find(order, signal)) ?? Promise.reject(tooManyVariants());
  }

  /** Removes what was just stored if the file was purged meanwhile: the purge may have come before it. */
  async #assertThere({ file: { id }, definition }: Order, signal: AbortSignal): Promise<void> {
    const { catalog, store } = this.#parts;
    if ((await catalog.get([id], { signal })).has(id)) return;
    await removeBytes(store, id, { derived: [THUMBHASH, ...namesOf(definition)] });
    throw fileNotFound(id);
  }
}
