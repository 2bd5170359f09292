import type { BlobPart } from '../../storage/blob-store.ts';
import type { SessionState } from './state.ts';

/** State of the hash behind a part. */
type HashState = Pick<SessionState, 'crc32c' | 'sha256State'>;

/** Parts that were sent and that the session does not name yet, in order. */
export class SentParts {
  readonly #parts: { readonly hash: HashState; stored?: BlobPart }[] = [];

  /** Notes that the next part is on its way. @returns what to call once it is durable */
  add(hash: HashState): (stored: BlobPart) => void {
    const entry: { readonly hash: HashState; stored?: BlobPart } = { hash };
    this.#parts.push(entry);
    return (stored) => (entry.stored = stored);
  }

  /** Whether all of them are durable. A part that failed leaves a gap, and what is behind a gap cannot be kept. */
  get areDurable(): boolean {
    return this.#parts.every(({ stored }) => stored !== undefined);
  }

  /** Moves the parts that are durable without a gap into a state; the same state where there are none. */
  moveInto(before: SessionState): SessionState {
    let state = before;
    while (this.#parts[0]?.stored !== undefined) {
      const { stored, hash } = this.#parts.shift()!;
      // The first part took in what was the tail.
      const stale = [...state.stale, ...state.tail.map(({ revision }) => revision)];
      state = { ...state, ...hash, parts: [...state.parts, stored!], tail: [], stale };
    }
    return state;
  }
}
