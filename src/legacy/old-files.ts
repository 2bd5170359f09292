import pLimit from 'p-limit';
import type { Logger } from 'pino';
import type { FileRecord } from '../catalog/file-catalog.ts';
import type { FieldValues, LegacyRecords } from '../catalog/legacy-records.ts';
import type { AssetError } from '../errors/asset-error.ts';
import { blobMissing } from '../errors/records.ts';
import type { Caller } from '../identity/caller.ts';
import type { FileBytes } from '../files/bytes.ts';
import type { OldFiles } from '../files/old-files.ts';
import type { RecordLoader } from '../files/record-loader.ts';
import { contentTypeOf } from './headers.ts';
import { keysOf } from './layout.ts';
import { locate, type OldBucket, type OldDamage, type OldPlace } from './locate.ts';
import { type PathKind, readOldPath } from './old-path.ts';
import { noteServing } from './serving-since.ts';
import { UseCounter } from './use-counter.ts';

/** Maximum number of concurrent requests to the catalog and the old bucket. */
const CONCURRENCY = 32;

/** Options of {@link ServedOldFiles}. */
export interface ServedOldFilesOptions {
  readonly bucket: OldBucket;
  readonly records: RecordLoader;
  readonly legacy: LegacyRecords;
  readonly log: Logger;
  /** Called for each file that a caller names by a path of the old system. */
  readonly onUse?: ((caller: Caller, kind: PathKind) => void) | undefined;
}

/** Serves files that were not moved from the old bucket. */
export class ServedOldFiles implements OldFiles {
  readonly #options: ServedOldFilesOptions;
  readonly #uses: UseCounter;
  readonly #noted: Promise<void>;
  readonly #limit = pLimit(CONCURRENCY);

  constructor(options: ServedOldFilesOptions) {
    this.#options = options;
    this.#uses = new UseCounter(options.legacy, options.log);
    this.#noted = noteServing(options.legacy, options.log);
  }

  async find(path: string, signal: AbortSignal): Promise<FileRecord | undefined> {
    const { bucket, records } = this.#options;
    const asked = readOldPath(path, bucket.layouts);
    for (const id of asked.ids) {
      const file = await records.get(id, signal);
      if (file === undefined) continue;
      const fields = await this.#fieldsOf(id, signal);
      if (fields && asked.keyAmong(keysOf(bucket.layouts, fields), fields) !== undefined) return file;
    }
    return undefined;
  }

  async open(file: FileRecord, signal: AbortSignal): Promise<FileBytes> {
    const { bucket, log } = this.#options;
    const place = await this.#locate(file, signal);
    if (place.damage !== undefined) {
      log.error({ file_id: file.id, damage: place.damage }, 'the bytes of an old file cannot be served');
      throw damaged(file.id, place.damage);
    }
    const { key, info } = place;
    return {
      sizeBytes: info.sizeBytes,
      contentType: contentTypeOf(file, info),
      read: (range, call) => bucket.reader.read(key, info.etag, range, call),
      signUrl: (options) => bucket.reader.signUrl(key, options),
      now: () => bucket.reader.now(),
    };
  }

  async contradictsType(file: FileRecord, signal: AbortSignal): Promise<boolean> {
    return (await this.#locate(file, signal)).damage === 'type-mismatch';
  }

  noteUse(caller: Caller, path: string): void {
    const { kind } = readOldPath(path, this.#options.bucket.layouts);
    this.#uses.add(caller.principal.id, kind);
    this.#options.onUse?.(caller, kind);
  }

  /** Writes the remaining counts and closes the connection to the bucket. */
  async close(): Promise<void> {
    await Promise.all([this.#uses.close(), this.#noted]);
    this.#options.bucket.reader.close();
  }

  async #locate(file: FileRecord, signal: AbortSignal): Promise<OldPlace> {
    const fields = (await this.#fieldsOf(file.id, signal)) ?? {};
    return this.#limit(() => locate(this.#options.bucket, file, fields, signal));
  }

  async #fieldsOf(id: string, signal: AbortSignal): Promise<FieldValues | undefined> {
    const found = await this.#limit(() => this.#options.legacy.fieldsOf([id], { signal }));
    return found.get(id);
  }
}

function damaged(fileId: string, damage: OldDamage): AssetError {
  const isMissing = damage === 'missing' || damage === 'no-key';
  return blobMissing({ damage: isMissing ? 'missing' : 'changed', fileId });
}
