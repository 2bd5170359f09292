import type { LimitFunction } from 'p-limit';
import type { MemoryBlocks } from './memory-blocks.ts';

/** The memory of one part of an upload. */
export interface PartMemory {
  /** Bytes that are taken now. */
  readonly bytes: number;
  /**
   * Waits until `bytes` more are free and takes them. Rejects with `signal.reason` if the signal is aborted before.
   *
   * @returns how many were taken: fewer than asked for where a caller may never have so many
   */
  take(bytes: number, signal?: AbortSignal): Promise<number>;
  /** Gives back some of what was taken. */
  giveBack(bytes: number): void;
  /** Says that the part is on its way to the store: all of its memory comes back without anybody's help. */
  settle(): void;
  /** Gives back everything. May be called again. */
  close(): void;
}

/** What one caller may have of the memory. */
export interface MemoryShare {
  /** Where the bytes of parts are copied to. */
  readonly blocks: MemoryBlocks;
  /** What bodies wait for that are read from the store while they are sent to it. */
  readonly rereads: LimitFunction;
  /**
   * Opens a part that has no memory yet.
   *
   * @param putAway - called when others need the memory: writes what the part holds to the store, and gives back
   *   what that took
   */
  open(putAway?: () => Promise<void>): PartMemory;
}
