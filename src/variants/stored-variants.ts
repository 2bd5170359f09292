import type { Logger } from 'pino';
import type { FileRecord } from '../catalog/file-catalog.ts';
import { isAssetError } from '../errors/asset-error.ts';
import { fieldInvalid } from '../errors/fields.ts';
import { variantImpossible, type VariantProblem } from '../errors/variants.ts';
import { storedBytes, type FileBytes } from '../files/bytes.ts';
import type { UsagePolicies } from '../files/policy/usage-policies.ts';
import type { VariantDefinition } from '../files/policy/variant-definition.ts';
import { formatsOf, type WantedFormat } from '../files/renditions.ts';
import {
  isVariantSource,
  MAX_SOURCE_BYTES,
  VARIANT_SOURCES,
  type Rendition,
  type VariantRequest,
  type Variants,
} from '../files/variants.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import { acceptedFormats } from './accept.ts';
import { Maker, type MakerParts } from './maker.ts';
import type { Renderer } from './renderer.ts';
import type { RenditionStore, StoredRendition } from './rendition-store.ts';

/** How long an answer waits for a thumbhash, in milliseconds. */
const THUMBHASH_TIMEOUT_MS = 1_000;

/** Problems of one format, after which the next accepted one is tried. */
const OF_THE_FORMAT: readonly VariantProblem[] = ['too-slow', 'too-much-memory', 'result-too-large'];

/** Serves and makes the variants that the usage policies define. */
export class StoredVariants implements Variants {
  readonly #store: BlobStore;
  readonly #policies: UsagePolicies;
  readonly #renditions: RenditionStore;
  readonly #maker: Maker;
  readonly #renderer: Renderer;
  readonly #log: Logger;

  constructor(parts: MakerParts & { readonly policies: UsagePolicies; readonly log: Logger }) {
    this.#store = parts.store;
    this.#policies = parts.policies;
    this.#renditions = parts.renditions;
    this.#maker = new Maker(parts);
    this.#renderer = parts.renderer;
    this.#log = parts.log;
  }

  /** What makes the variants, with its load. */
  get renderer(): Pick<Renderer, 'active' | 'waiting' | 'concurrency'> {
    return this.#renderer;
  }

  async open(
    file: FileRecord,
    original: (signal: AbortSignal) => Promise<FileBytes>,
    { variant, accept }: Required<VariantRequest>,
    signal: AbortSignal,
  ): Promise<Rendition> {
    const definition = this.#definition(file, variant);
    const impossible = (problem: VariantProblem) =>
      variantImpossible(file, variant, problem, VARIANT_SOURCES);
    if (!isVariantSource(file.contentType)) throw impossible('not-an-image');
    let problem: VariantProblem = 'not-an-image';
    for (const format of acceptedFormats(accept, formatsOf(definition))) {
      const result = await this.#result({ file, original, definition, format }, signal);
      if (typeof result !== 'string') return this.#rendition(result);
      problem = result;
      if (!OF_THE_FORMAT.includes(problem)) break;
    }
    throw impossible(problem);
  }

  async thumbhashOf(file: FileRecord, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (this.namesFor(file).length === 0 || file.deleteTime !== undefined) return undefined;
    const timeout = AbortSignal.timeout(THUMBHASH_TIMEOUT_MS);
    try {
      return await this.#renditions.thumbhash(file.id, AbortSignal.any([signal, timeout]));
    } catch (error) {
      signal.throwIfAborted();
      this.#log.debug({ file_id: file.id, err: error }, 'answers without the thumbhash');
      return undefined;
    }
  }

  uploaded(file: FileRecord): void {
    if (!isVariantSource(file.contentType)) return;
    const original = () => Promise.resolve(storedBytes(this.#store, file));
    for (const definition of Object.values(this.#policies.ofExisting(file.usage).variants)) {
      if (definition.at !== 'upload') continue;
      for (const format of formatsOf(definition)) {
        this.#maker.make({ file, original, definition, format }).catch((error: unknown) => {
          if (isAssetError(error, 'SHUTTING_DOWN', 'RATE_LIMITED', 'FILE_NOT_FOUND')) return;
          this.#log.warn(
            { file_id: file.id, err: error },
            'a variant was not made after the upload; the first request makes it',
          );
        });
      }
    }
  }

  namesFor(file: FileRecord): string[] {
    if (!isVariantSource(file.contentType)) return [];
    return Object.keys(this.#policies.ofExisting(file.usage).variants).sort();
  }

  /** Ends what is being made. */
  close(): Promise<void> {
    return this.#maker.close();
  }

  #definition({ usage }: FileRecord, variant: string): VariantDefinition {
    const { variants } = this.#policies.ofExisting(usage);
    if (Object.hasOwn(variants, variant)) return variants[variant]!;
    const names = Object.keys(variants).sort().join(', ');
    throw fieldInvalid(
      'variant',
      names === ''
        ? `files of usage "${usage}" have no variants`
        : `files of usage "${usage}" have the variants ${names}: ask for one of these`,
    );
  }

  async #result(
    order: {
      readonly file: FileRecord;
      readonly original: (signal: AbortSignal) => Promise<FileBytes>;
      readonly definition: VariantDefinition;
      readonly format: WantedFormat;
    },
    signal: AbortSignal,
  ): Promise<StoredRendition | VariantProblem> {
    const { file, original, definition, format } = order;
    const found = await this.#renditions.find(file.id, definition, format, signal);
    if (found !== undefined) return found;
    if ((await original(signal)).sizeBytes > MAX_SOURCE_BYTES) return 'too-large';
    return abortable(this.#maker.make(order), signal);
  }

  #rendition({ key, format, sizeBytes }: StoredRendition): Rendition {
    const store = this.#store;
    return {
      sizeBytes,
      contentType: `image/${format}`,
      read: (range, call) => store.read(key, range, call),
      signUrl: (options) => store.signUrl(key, options),
      now: () => store.now(),
    };
  }
}

/** Like `work`, but rejects as soon as the caller has gone; `work` goes on. */
function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason as Error);
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
