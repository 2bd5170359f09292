import { shuttingDown, tooManyUploads } from '../../errors/limits.ts';

/** An upload in one call, or a call of an upload over several calls. */
export type UploadKind = 'call' | 'session';

/** A place among the running uploads. Dispose it to give it back. */
export type AdmissionSlot = Disposable;

/**
 * Admits as many uploads as the process can handle and refuses the others at once, so that overload costs callers a
 * retry and not the service its memory.
 */
export class Admission {
  readonly #max: number;
  readonly #onChange: (inHand: number) => void;
  readonly #byKind: Record<UploadKind, number> = { call: 0, session: 0 };
  #inHand = 0;
  #closed = false;

  /**
   * @param max - maximum number of running uploads
   * @param onChange - called with the number of running uploads when it changes
   */
  constructor(max: number, onChange: (inHand: number) => void = () => undefined) {
    this.#max = max;
    this.#onChange = onChange;
  }

  /** Number of running uploads. */
  get inHand(): number {
    return this.#inHand;
  }

  /** Number of running uploads of each kind. */
  get byKind(): Readonly<Record<UploadKind, number>> {
    return this.#byKind;
  }

  /** Maximum number of running uploads. */
  get max(): number {
    return this.#max;
  }

  /** Refuses all later uploads, because the process is about to end. */
  close(): void {
    this.#closed = true;
  }

  /**
   * Takes a place.
   *
   * @throws AssetError TOO_MANY_UPLOADS if all are taken, SHUTTING_DOWN if the process is about to end
   */
  enter(kind: UploadKind): AdmissionSlot {
    if (this.#closed) throw shuttingDown();
    if (this.#inHand >= this.#max) {
      throw tooManyUploads('this replica takes no more now');
    }
    this.#byKind[kind] += 1;
    this.#onChange(++this.#inHand);
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        this.#byKind[kind] -= 1;
        this.#onChange(--this.#inHand);
      },
    };
  }
}
