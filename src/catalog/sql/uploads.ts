import type { CatalogCall, Hold, SweepCall, UploadChange, Uploads } from '../file-catalog.ts';
import { forget, listPast, takeClosed } from './holds.ts';
import * as reservations from './reservations.ts';
import { SqlSessions, type SqlRun } from './sessions.ts';

/** Reservations and sessions in an SQL catalog: one table each. */
export class SqlUploads implements Uploads {
  readonly #run: SqlRun;
  readonly #assertRoom: () => Promise<void>;
  readonly #sessions: SqlSessions;

  /**
   * @param run - of the catalog
   * @param assertRoom - rejects if there is no room for anything new
   */
  constructor(run: SqlRun, assertRoom: () => Promise<void>) {
    this.#run = run;
    this.#assertRoom = assertRoom;
    this.#sessions = new SqlSessions(run, assertRoom);
  }

  reserve(fileIds: readonly string[], expireTime: Date, call?: CatalogCall) {
    return this.#run(call, async (db) => {
      await this.#assertRoom();
      return reservations.openReservation(db, fileIds, expireTime);
    });
  }

  extend(id: string, expireTime: Date, call?: CatalogCall): Promise<boolean> {
    return this.#run(call, (db) => reservations.extendReservation(db, id, expireTime));
  }

  release(id: string, leftoverIds: readonly string[], call?: CatalogCall): Promise<void> {
    return this.#run(call, (db) => reservations.closeReservation(db, id, leftoverIds));
  }

  keepLeftovers(id: string, leftoverIds: readonly string[], call?: CatalogCall): Promise<void> {
    return this.#run(call, (db) => reservations.keepLeftovers(db, id, leftoverIds));
  }

  open(session: Parameters<Uploads['open']>[0], call?: CatalogCall) {
    return this.#sessions.open(session, call);
  }

  get(id: string, call?: CatalogCall) {
    return this.#sessions.get(id, call);
  }

  find(requestKey: string, call?: CatalogCall) {
    return this.#sessions.find(requestKey, call);
  }

  claimsOf(owner: string, call?: CatalogCall) {
    return this.#sessions.claimsOf(owner, call);
  }

  countOf(caller: string, limit: number, call?: CatalogCall): Promise<number> {
    return this.#sessions.countOf(caller, limit, call);
  }

  update(id: string, revision: number, change: UploadChange, call?: CatalogCall) {
    return this.#sessions.update(id, revision, change, call);
  }

  close(id: string, revision: number, sweepTime: Date, call?: CatalogCall): Promise<boolean> {
    return this.#sessions.close(id, revision, sweepTime, call);
  }

  takeClosed(now: Date, limit: number, call?: SweepCall) {
    return this.#run(call, (db) => takeClosed(db, now, limit, call?.after));
  }

  listPast(now: Date, limit: number, call?: SweepCall) {
    return this.#run(call, (db) => listPast(db, now, limit, call?.after));
  }

  forget(hold: Pick<Hold, 'kind' | 'id'>, call?: CatalogCall): Promise<void> {
    return this.#run(call, (db) => forget(db, hold));
  }
}
