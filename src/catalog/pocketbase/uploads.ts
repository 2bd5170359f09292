import type { CatalogCall, ClosedHold, Hold, SweepCall, Uploads } from '../file-catalog.ts';
import { oldestOf } from '../catalog-call.ts';
import * as reservations from './reservations.ts';
import { PocketBaseSessions } from './sessions.ts';

/** Reservations and sessions in a PocketBase: two collections of reservations, one of sessions. */
export class PocketBaseUploads extends PocketBaseSessions implements Uploads {
  reserve(fileIds: readonly string[], expireTime: Date, call?: CatalogCall) {
    return this.run(call, (signal) => reservations.open(this.client, fileIds, expireTime, signal));
  }

  extend(id: string, expireTime: Date, call?: CatalogCall): Promise<boolean> {
    return this.run(call, (signal) => reservations.extend(this.client, id, expireTime, signal));
  }

  release(id: string, leftoverIds: readonly string[], call?: CatalogCall): Promise<void> {
    return this.run(call, (signal) => reservations.close(this.client, id, leftoverIds, signal));
  }

  keepLeftovers(id: string, leftoverIds: readonly string[], call?: CatalogCall): Promise<void> {
    return this.run(call, (signal) => reservations.keepLeftovers(this.client, id, leftoverIds, signal));
  }

  takeClosed(now: Date, limit: number, call?: SweepCall): Promise<readonly ClosedHold[]> {
    return this.run(call, async (signal) => {
      const reserved = await reservations.takeClosed(this.client, now, limit, call, signal);
      const sessions = await this.takeClosedSessions(now, limit, call, signal);
      return oldestOf<ClosedHold>([...reserved, ...sessions], limit);
    });
  }

  listPast(now: Date, limit: number, call?: SweepCall): Promise<readonly Hold[]> {
    return this.run(call, async (signal) => {
      const reserved = await reservations.listPast(this.client, now, limit, call?.after, signal);
      const sessions = await this.listPastSessions(now, limit, call?.after, signal);
      return oldestOf<Hold>([...reserved, ...sessions], limit);
    });
  }

  forget({ kind, id }: Pick<Hold, 'kind' | 'id'>, call?: CatalogCall): Promise<void> {
    return this.run(call, (signal) =>
      kind === 'upload' ? this.forgetSession(id, signal) : reservations.forget(this.client, id, signal),
    );
  }
}
