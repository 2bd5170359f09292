import type { Logger } from 'pino';
import type { Uploads } from '../../catalog/file-catalog.ts';
import { newFileId } from './ids.ts';

/** State of a file id after its upload. */
export type SlotOutcome =
  /** The id is a file, or nothing was stored under it. */
  | 'settled'
  /** Bytes may be stored under the id, now or later: the sweeper must check it. */
  | 'unsettled';

/** A file id for one upload. */
export interface ReservedId {
  readonly fileId: string;
  readonly reservationId: string;
  /** Reports the end of the upload. Must be called exactly once. */
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
 * Provides file ids that are reserved in the catalog.
 *
 * An id is reserved before its blob is written, so that the sweeper finds what a crash leaves without listing the
 * bucket. Ids are reserved in groups, so that many uploads need one write.
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
   * @param options.size - ids per reservation
   * @param options.ttlMs - lifetime of a reservation, in milliseconds; extended while it has running uploads
   */
  constructor(uploads: Uploads, log: Logger, options: { size: number; ttlMs: number }) {
    this.#uploads = uploads;
    this.#log = log;
    this.#size = options.size;
    this.#ttlMs = options.ttlMs;
    this.#timer = setInterval(() => void this.#renew(), Math.max(50, options.ttlMs / 4));
    this.#timer.unref();
  }

  /** The next free id. Rejects like the catalog if it cannot be reserved. */
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

  /** Releases reservations without running uploads; the others expire. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#current = undefined;
    const idle = [...this.#held].filter((reservation) => reservation.running === 0);
    await Promise.all(idle.map((reservation) => this.#giveBack(reservation)));
  }

  /**
   * Undefined if no id is left, or less than half of the lifetime: an upload must not start shortly before the expiry.
   */
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
   * Removes the reservation if no id is unsettled. Otherwise leaves it to expire: an abandoned request may still reach
   * the store, and must arrive before the sweeper cleans the id.
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
