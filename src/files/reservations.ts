import type { Logger } from 'pino';
import type { Uploads } from '../catalog/file-catalog.ts';
import { newFileId } from './ids.ts';

/** How an upload left its file id behind. */
export type SlotOutcome =
  /** The id is a file now, or nothing was ever stored under it. */
  | 'settled'
  /** Bytes may lie under the id, or may yet arrive there: the sweeper has to look. */
  | 'unsettled';

/** A file id that one upload may use. */
export interface ReservedId {
  readonly fileId: string;
  readonly reservationId: string;
  /** Tells the pool that the upload is over. Must be called exactly once. */
  release(outcome: SlotOutcome): void;
}

interface OpenReservation {
  readonly id: string;
  readonly unused: string[];
  expireTime: number;
  running: number;
  unsettled: boolean;
}

/**
 * Hands out file ids that the catalog has promised to this process.
 *
 * An id is written down before its blob is, so that the sweeper finds what a crash leaves without listing
 * the bucket. Ids are reserved many at a time, which makes that one write for many uploads.
 */
export class ReservationPool {
  readonly #uploads: Uploads;
  readonly #log: Logger;
  readonly #size: number;
  readonly #ttlMs: number;
  readonly #held = new Set<OpenReservation>();
  #current: OpenReservation | undefined;
  #opening: Promise<OpenReservation> | undefined;
  readonly #timer: NodeJS.Timeout;

  /**
   * @param options.size - ids in one reservation
   * @param options.ttlMs - how long a reservation outlives the process that holds it, in milliseconds; running
   *   uploads prolong it
   */
  constructor(uploads: Uploads, log: Logger, options: { size: number; ttlMs: number }) {
    this.#uploads = uploads;
    this.#log = log;
    this.#size = options.size;
    this.#ttlMs = options.ttlMs;
    this.#timer = setInterval(() => void this.#renew(), Math.max(50, options.ttlMs / 4));
    this.#timer.unref();
  }

  /** The next free id. Rejects like the catalog if a new reservation cannot be had. */
  async take(): Promise<ReservedId> {
    const reservation = this.#usable(this.#current) ?? (await this.#open());
    const fileId = reservation.unused.pop();
    if (fileId === undefined) return this.take();
    reservation.running++;
    return {
      fileId,
      reservationId: reservation.id,
      release: (outcome) => {
        reservation.running--;
        if (outcome === 'unsettled') reservation.unsettled = true;
        if (reservation !== this.#current) this.#retire(reservation);
      },
    };
  }

  /** Gives back what is not in use. Uploads that still run keep theirs until it expires. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#current = undefined;
    const idle = [...this.#held].filter((reservation) => reservation.running === 0);
    await Promise.all(idle.map((reservation) => this.#giveBack(reservation)));
  }

  /** A reservation is drawn from for half its life only, so that an upload starts with time in hand. */
  #usable(reservation: OpenReservation | undefined): OpenReservation | undefined {
    if (reservation === undefined || reservation.unused.length === 0) return undefined;
    return reservation.expireTime - Date.now() > this.#ttlMs / 2 ? reservation : undefined;
  }

  #open(): Promise<OpenReservation> {
    this.#opening ??= this.#reserve().finally(() => (this.#opening = undefined));
    return this.#opening;
  }

  async #reserve(): Promise<OpenReservation> {
    const ids = Array.from({ length: this.#size }, newFileId);
    const expireTime = Date.now() + this.#ttlMs;
    const { id } = await this.#uploads.reserve(ids, new Date(expireTime));
    const reservation = { id, unused: ids, expireTime, running: 0, unsettled: false };
    const last = this.#current;
    this.#held.add(reservation);
    this.#current = reservation;
    if (last !== undefined) this.#retire(last);
    return reservation;
  }

  #retire(reservation: OpenReservation): void {
    if (reservation.running === 0) void this.#giveBack(reservation);
  }

  /**
   * With nothing unsettled the reservation is simply removed. Otherwise it is left to expire: a
   * request that was given up may still reach the store, and must not arrive after the sweeper.
   */
  async #giveBack(reservation: OpenReservation): Promise<void> {
    if (!this.#held.delete(reservation) || reservation.unsettled) return;
    await this.#uploads.release(reservation.id, []).catch((error: unknown) => {
      this.#log.warn({ err: error }, 'a reservation could not be given back; it will expire');
    });
  }

  async #renew(): Promise<void> {
    for (const reservation of this.#held) {
      if (reservation === this.#current && reservation.running === 0 && !this.#usable(reservation)) {
        this.#current = undefined;
        this.#retire(reservation);
      }
      if (reservation.running === 0) continue;
      const expireTime = Date.now() + this.#ttlMs;
      try {
        if (await this.#uploads.extend(reservation.id, new Date(expireTime))) {
          reservation.expireTime = expireTime;
        }
      } catch (error) {
        this.#log.warn({ err: error }, 'a reservation could not be prolonged; trying again');
      }
    }
  }
}
