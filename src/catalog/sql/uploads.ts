import type { CatalogCall, Hold, SweepCall, Uploads } from '../file-catalog.ts';
import { forget, listPast, takeClosed } from './holds.ts';
import * as reservations from './reservations.ts';
import { SqlSessions } from './sessions.ts';

/** Reservations and sessions in an SQL catalog: one table each. */
export class SqlUploads extends SqlSessions implements Uploads {
  reserve(fileIds: readonly string[], expireTime: Date, call?: CatalogCall) {
    return this.run(call, async (db) => {
      await this.assertRoom();
      return reservations.openReservation(db, fileIds, expireTime);
    });
  }

  extend(id: string, expireTime: Date, call?: CatalogCall): Promise<boolean> {
    return this.run(call, (db) => reservations.extendReservation(db, id, expireTime));
  }

  release(id: string, leftoverIds: readonly string[], call?: CatalogCall): Promise<void> {
    return this.run(call, (db) => reservations.closeReservation(db, id, leftoverIds));
  }

  keepLeftovers(id: string, leftoverIds: readonly string[], call?: CatalogCall): Promise<void> {
    return this.run(call, (db) => reservations.keepLeftovers(db, id, leftoverIds));
  }

  takeClosed(now: Date, limit: number, call?: SweepCall) {
    return this.run(call, (db) => takeClosed(db, now, limit, call?.after));
  }

  listPast(now: Date, limit: number, call?: SweepCall) {
    return this.run(call, (db) => listPast(db, now, limit, call?.after));
  }

  forget(hold: Pick<Hold, 'kind' | 'id'>, call?: CatalogCall): Promise<void> {
    return this.run(call, (db) => forget(db, hold));
  }
}
