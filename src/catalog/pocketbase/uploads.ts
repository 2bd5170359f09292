import type { CatalogCall, ClosedHold, Hold, SweepCall, UploadChange, Uploads } from '../file-catalog.ts';
import { oldestOf } from '../catalog-call.ts';
import type { PocketBaseClient } from './client.ts';
import * as reservations from './reservations.ts';
import { PocketBaseSessions, type PocketBaseRun } from './sessions.ts';

/** Reservations and sessions in a PocketBase: two collections of reservations, one of sessions. */
export class PocketBaseUploads implements Uploads {
  readonly #client: PocketBaseClient;
  readonly #run: PocketBaseRun;
  readonly #sessions: PocketBaseSessions;

  /** @param run - of the catalog */
  constructor(client: PocketBaseClient, run: PocketBaseRun) {
    this.#client = client;
    this.#run = run;
    this.#sessions = new PocketBaseSessions(client, run);
  }

  reserve(fileIds: readonly string[], expireTime: Date, call?: CatalogCall) {
    return this.#run(call, (signal) => reservations.open(this.#client, fileIds, expireTime, signal));
  }

  extend(id: string, expireTime: Date, call?: CatalogCall): Promise<boolean> {
    return this.#run(call, (signal) => reservations.extend(this.#client, id, expireTime, signal));
  }

  release(id: string, leftoverIds: readonly string[], call?: CatalogCall): Promise<void> {
    return this.#run(call, (signal) => reservations.close(this.#client, id, leftoverIds, signal));
  }

  keepLeftovers(id: string, leftoverIds: readonly string[], call?: CatalogCall): Promise<void> {
    return this.#run(call, (signal) => reservations.keepLeftovers(this.#client, id, leftoverIds, signal));
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

  takeClosed(now: Date, limit: number, call?: SweepCall): Promise<readonly ClosedHold[]> {
    return this.#run(call, async (signal) => {
      const reserved = await reservations.takeClosed(this.#client, now, limit, call, signal);
      const sessions = await this.#sessions.takeClosed(now, limit, call, signal);
      return oldestOf<ClosedHold>([...reserved, ...sessions], limit);
    });
  }

  listPast(now: Date, limit: number, call?: SweepCall): Promise<readonly Hold[]> {
    return this.#run(call, async (signal) => {
      const reserved = await reservations.listPast(this.#client, now, limit, call?.after, signal);
      const sessions = await this.#sessions.listPast(now, limit, call?.after, signal);
      return oldestOf<Hold>([...reserved, ...sessions], limit);
    });
  }

  forget({ kind, id }: Pick<Hold, 'kind' | 'id'>, call?: CatalogCall): Promise<void> {
    return this.#run(call, (signal) =>
      kind === 'upload' ? this.#sessions.forget(id, signal) : reservations.forget(this.#client, id, signal),
    );
  }
}
