import pLimit from 'p-limit';
import type { FileRecord, TransferredFile } from '../../catalog/file-catalog.ts';
import { isAssetError } from '../../errors/asset-error.ts';
import type { MovedCatalogs, RefusedRecord } from './progress.ts';
import { MoveRefused } from '../refused.ts';

/** Records of one export by ids. */
const IDS = 200;

/** Imports that run at the same time. */
const AT_ONCE = 8;

/** Refused records after which a move stops: the catalogs do not fit together. */
const MAX_REFUSED = 1_000;

/** Writes records of the source into the target, as the source has them now. May be repeated in any order. */
export class RecordStream {
  readonly #catalogs: MovedCatalogs;
  readonly #refused: Map<string, string>;
  readonly #whyNot: (record: FileRecord) => string | undefined;

  /**
   * @param refused - records that were refused before
   * @param whyNot - why a record must not be moved; undefined if it may
   */
  constructor(
    catalogs: MovedCatalogs,
    refused: readonly RefusedRecord[],
    whyNot: (record: FileRecord) => string | undefined = () => undefined,
  ) {
    [this.#catalogs, this.#whyNot] = [catalogs, whyNot];
    this.#refused = new Map(refused.map(({ id, reason }) => [id, reason]));
  }

  /** Records that are not in the target, in the order in which they were refused. */
  get refused(): readonly RefusedRecord[] {
    return [...this.#refused].map(([id, reason]) => ({ id, reason }));
  }

  /**
   * Imports records.
   *
   * @throws MoveRefused if too many were refused; CATALOG_UNAVAILABLE
   */
  async write(files: readonly TransferredFile[], signal: AbortSignal): Promise<void> {
    const limit = pLimit(AT_ONCE);
    const ends = await Promise.allSettled(files.map((file) => limit(() => this.#writeOne(file, signal))));
    const failed = ends.find((end) => end.status === 'rejected');
    if (failed) throw failed.reason;
    if (this.#refused.size < MAX_REFUSED) return;
    const [id, reason] = [...this.#refused][0]!;
    throw new MoveRefused(
      `${this.#refused.size} records were refused, the first is ${id}: ${reason}. Correct that, and start again.`,
    );
  }

  /** Imports the records with these ids, and drops those that are gone. */
  async writeOnly(ids: readonly string[], signal: AbortSignal): Promise<void> {
    const { source, target } = this.#catalogs;
    const wanted = [...new Set(ids)];
    for (let i = 0; i < wanted.length; i += IDS) {
      const some = wanted.slice(i, i + IDS);
      const files = await source.exportOnly(some, { signal });
      await this.write(files, signal);
      const there = new Set(files.map(({ record }) => record.id));
      for (const id of some.filter((one) => !there.has(one))) {
        await target.dropFile(id, { signal });
        this.#refused.delete(id);
      }
    }
  }

  async #writeOne(file: TransferredFile, signal: AbortSignal): Promise<void> {
    const { id } = file.record;
    const why = this.#whyNot(file.record);
    if (why !== undefined) return void this.#refused.set(id, why);
    try {
      await this.#catalogs.target.importFile(file, { signal });
      this.#refused.delete(id);
    } catch (error) {
      if (!isAssetError(error) || error.reason === 'CATALOG_UNAVAILABLE') throw error;
      // The target was not prepared at all.
      if (error.metadata['field'] === 'create_time') throw error;
      this.#refused.set(id, `${error.reason}: ${error.message}`);
    }
  }
}
