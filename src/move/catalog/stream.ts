import pLimit from 'p-limit';
import type { FileRecord, TransferredFile } from '../../catalog/file-catalog.ts';
import type { MovedCatalogs, RefusedRecord } from './progress.ts';
import { MoveRefused } from '../refused.ts';

/** Records of one export by ids. */
const IDS = 200;

/** Imports that run at the same time. */
const AT_ONCE = 2;

/** Maximum number of records of one import, and maximum length of their attributes and relations. */
const PORTION = 100;
const PORTION_BYTES = 4_194_304;

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
    const movable = files.filter(({ record }) => {
      const why = this.#whyNot(record);
      if (why !== undefined) this.#refused.set(record.id, why);
      return why === undefined;
    });
    const limit = pLimit(AT_ONCE);
    const parts = portionsOf(movable).map((some) => limit(() => this.#import(some, signal)));
    const failed = (await Promise.allSettled(parts)).find((end) => end.status === 'rejected');
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
      const there = new Set(files.map(({ record }) => record.id));
      // First, because another record may have the request key of one that is gone.
      for (const id of some.filter((one) => !there.has(one))) {
        await target.dropFile(id, { signal });
        this.#refused.delete(id);
      }
      await this.write(files, signal);
    }
  }

  async #import(files: readonly TransferredFile[], signal: AbortSignal): Promise<void> {
    const refused = await this.#catalogs.target.importFiles(files, { signal });
    for (const { record } of files) {
      const error = refused.get(record.id);
      if (error) this.#refused.set(record.id, `${error.reason}: ${error.message}`);
      else this.#refused.delete(record.id);
    }
  }
}

/** Records in portions of limited length. */
function portionsOf(files: readonly TransferredFile[]): readonly (readonly TransferredFile[])[] {
  const portions: TransferredFile[][] = [];
  let room = 0;
  for (const file of files) {
    const { attributes, relations } = file.record;
    const bytes = JSON.stringify([attributes, relations]).length;
    if (portions.length === 0 || portions.at(-1)!.length === PORTION || bytes > room) {
      portions.push([]);
      room = PORTION_BYTES;
    }
    portions.at(-1)!.push(file);
    room -= bytes;
  }
  return portions;
}
