import { setTimeout as sleep } from 'node:timers/promises';
import type {
  CatalogCall,
  JsonValue,
  SweepCall,
  SweepCursor,
  UploadChange,
  Uploads,
  UploadSession,
  UsageClaim,
} from '../file-catalog.ts';
import { quote, Refusal, type BatchRequest, type PocketBaseClient, type RawRecord } from './client.ts';
import { behind, quoteTime } from './filter.ts';
import { REVISIONS, UPLOADS } from './own-collections.ts';
import { isTaken, unlessGone } from './refusals.ts';
import { closeEach, timeOf } from './reservations.ts';
import { isStorable } from '../storable.ts';
import { idTaken } from '../../errors/dependencies.ts';

/** Runs requests within the limits of a call. */
export type PocketBaseRun = <T>(
  call: CatalogCall | undefined,
  work: (signal: AbortSignal) => Promise<T>,
) => Promise<T>;

/** PocketBase's maximum number of records in one response. */
const PAGE = 1000;

/** How often to try to open a session whose request key is taken by one that is closed at each look. */
const ATTEMPTS = 10;

/**
 * The upload sessions in a PocketBase: one record each, and a token record that names its revision or that it is
 * closed. Every change is a batch that deletes the previous token; if that is gone, the batch fails. A part of
 * `PocketBaseUploads`.
 */
export class PocketBaseSessions {
  protected readonly client: PocketBaseClient;
  protected readonly run: PocketBaseRun;

  /** @param run - of the catalog */
  constructor(client: PocketBaseClient, run: PocketBaseRun) {
    this.client = client;
    this.run = run;
  }

  open(session: Parameters<Uploads['open']>[0], call?: CatalogCall) {
    return this.run(call, async (signal) => {
      const { id, state, expireTime, requestKey = '' } = session;
      const { caller = '', owner = '', usage = '', sizeBytes = 0 } = session.claim ?? {};
      const body = {
        ...{ id, ...bodyOf({ revision: 1, state, expireTime }), request_key: requestKey },
        ...{ caller, owner, usage, size_bytes: sizeBytes },
      };
      for (let attempt = 1; ; attempt++) {
        try {
          const record = { method: 'POST', collection: UPLOADS, body, onlyId: true } as const;
          await this.client.batch([record, token('POST', id, 1)], signal);
          return { status: 'opened', session: { id, revision: 1, state, expireTime } } as const;
        } catch (error) {
          if (!(error instanceof Refusal)) throw error;
          const filter = `request_key!=""&&request_key=${quote(requestKey)}`;
          const earlier = await this.#first(filter, signal);
          if (earlier) return { status: 'request-taken', session: earlier } as const;
          if (!isTaken(error, 'request_key') || attempt === ATTEMPTS) throw refused(error);
          await sleep(20 * attempt * Math.random(), undefined, { signal });
        }
      }
    });
  }

  get(id: string, call?: CatalogCall): Promise<UploadSession | undefined> {
    return this.run(call, async (signal) =>
      isStorable(id) ? this.#first(`id=${quote(id)}&&closed=false`, signal) : undefined,
    );
  }

  find(requestKey: string, call?: CatalogCall): Promise<UploadSession | undefined> {
    // A closed one has no key.
    return this.run(call, (signal) =>
      this.#first(`request_key!=""&&request_key=${quote(requestKey)}`, signal),
    );
  }

  claimsOf(owner: string, call?: CatalogCall): Promise<readonly UsageClaim[]> {
    return this.run(call, async (signal) => {
      if (!isStorable(owner)) return [];
      const claims = new Map<string, { usage: string; files: number; bytes: number }>();
      for (let after = ''; ;) {
        const filter = `owner=${quote(owner)}&&closed=false&&caller!=""&&id>${quote(after)}`;
        const query = { filter, sort: 'id', limit: PAGE, fields: 'id,usage,size_bytes' };
        const rows = await this.client.list(UPLOADS, query, signal);
        for (const row of rows) {
          const usage = row.usage as string;
          const claim = claims.get(usage) ?? { usage, files: 0, bytes: 0 };
          claims.set(usage, claim);
          claim.files += 1;
          claim.bytes += row.size_bytes as number;
        }
        if (rows.length < PAGE) return [...claims.values()];
        after = rows.at(-1)!.id;
      }
    });
  }

  countOf(caller: string, limit: number, call?: CatalogCall): Promise<number> {
    const filter = `caller=${quote(caller)}&&closed=false`;
    return this.run(
      call,
      async (signal) => (await this.client.list(UPLOADS, { filter, limit, fields: 'id' }, signal)).length,
    );
  }

  update(
    id: string,
    revision: number,
    { sizeBytes, ...change }: UploadChange,
    call?: CatalogCall,
  ): Promise<UploadSession | undefined> {
    return this.run(call, async (signal) => {
      const next = { revision: revision + 1, ...change };
      const body = { ...bodyOf(next), ...(sizeBytes !== undefined && { size_bytes: sizeBytes }) };
      const won = await this.#move(id, revision, next.revision, body, signal);
      return won ? { id, ...next } : undefined;
    });
  }

  close(id: string, revision: number, sweepTime: Date, call?: CatalogCall): Promise<boolean> {
    const body = { ...CLOSED, expire_time: sweepTime.toISOString() };
    return this.run(call, (signal) => this.#move(id, revision, 'closed', body, signal));
  }

  /**
   * Closes the first `limit` that expired before `now`; returns due closed ones after `call.after`, oldest first.
   */
  protected async takeClosedSessions(
    now: Date,
    limit: number,
    call: SweepCall | undefined,
    signal: AbortSignal,
  ) {
    await closeEach(
      'upload',
      limit,
      call,
      (after) => this.#listExpired(now, limit, after, signal),
      // A session that was extended meanwhile has another revision and stays open.
      ({ id, revision }) => this.#move(id, revision as number, 'closed', CLOSED, signal),
    );
    const filter = `closed=true&&expire_time<=${quoteTime(now)}${behind('expire_time', call?.after)}`;
    const closed = await this.client.list(UPLOADS, { filter, sort: IN_ORDER, limit }, signal);
    return closed.map((raw) => ({ ...toSession(raw), ...toHold(raw) }));
  }

  /** What {@link takeClosedSessions} would return, without states. */
  protected async listPastSessions(
    now: Date,
    limit: number,
    after: SweepCursor | undefined,
    signal: AbortSignal,
  ) {
    const filter = `closed=true&&expire_time<=${quoteTime(now)}${behind('expire_time', after)}`;
    const query = { filter, sort: IN_ORDER, limit, fields: WITHOUT_STATE };
    const closed = await this.client.list(UPLOADS, query, signal);
    const expired = await this.#listExpired(now, limit, after, signal);
    return [...closed, ...expired].map(toHold);
  }

  /** Removes a closed session. */
  protected async forgetSession(id: string, signal: AbortSignal): Promise<void> {
    const requests = [token('DELETE', id, 'closed'), { method: 'DELETE', collection: UPLOADS, id } as const];
    await unlessGone(this.client.batch(requests, signal));
  }

  #listExpired(now: Date, limit: number, after: SweepCursor | undefined, signal: AbortSignal) {
    const filter = `closed=false&&expire_time<${quoteTime(now)}${behind('expire_time', after)}`;
    return this.client.list(UPLOADS, { filter, sort: IN_ORDER, limit, fields: WITHOUT_STATE }, signal);
  }

  /** Changes the record and moves the session from `from` to `to`; false if it is no longer at `from`. */
  #move(id: string, from: number, to: Stage, body: object, signal: AbortSignal): Promise<boolean> {
    const requests: BatchRequest[] = [
      token('DELETE', id, from),
      token('POST', id, to),
      { method: 'PATCH', collection: UPLOADS, id, body: { ...body }, onlyId: true },
    ];
    return unlessGone(this.client.batch(requests, signal));
  }

  async #first(filter: string, signal: AbortSignal): Promise<UploadSession | undefined> {
    const [raw] = await this.client.list(UPLOADS, { filter, limit: 1 }, signal);
    return raw && toSession(raw);
  }
}

/** Requests that remove an open session. The first one fails unless it has this revision. */
export function takeSession(id: string, revision: number): readonly BatchRequest[] {
  return [token('DELETE', id, revision), { method: 'DELETE', collection: UPLOADS, id }];
}

/** State of a session: a revision, or closed. */
type Stage = number | 'closed';

const IN_ORDER = 'expire_time,id';
const WITHOUT_STATE = 'id,revision,expire_time';

const CLOSED = { closed: true, request_key: '' };

/** A request for the token of a session. */
export function token(method: 'POST' | 'DELETE', id: string, stage: Stage): BatchRequest {
  const name = `upload-${id}-${stage}`;
  return method === 'POST'
    ? { method, collection: REVISIONS, body: { id: name }, onlyId: true }
    : { method, collection: REVISIONS, id: name };
}

function bodyOf(session: Omit<UploadSession, 'id'>) {
  return {
    revision: session.revision,
    // As text, which PocketBase keeps exactly: it would reorder objects and parse some texts as JSON.
    state: JSON.stringify(session.state),
    expire_time: session.expireTime.toISOString(),
  };
}

function toSession(raw: RawRecord): UploadSession {
  return {
    id: raw.id,
    revision: raw.revision as number,
    state: raw.state as JsonValue,
    expireTime: timeOf(raw.expire_time),
  };
}

function toHold(raw: RawRecord) {
  return { kind: 'upload' as const, id: raw.id, fileIds: [raw.id], expireTime: timeOf(raw.expire_time) };
}

function refused(refusal: Refusal): Error {
  return isTaken(refusal, 'id') ? idTaken('upload', refusal) : refusal;
}
