/** A file that the service has acknowledged. */
export interface KnownFile {
  readonly id: string;
  readonly requestId: string;
  readonly sizeBytes: number;
  /** Hexadecimal. */
  readonly sha256: string;
  readonly usage: string;
  /** Acknowledged updates, each of which adds one to the attribute `width`. */
  updates: number;
  /** Updates that ended without saying whether they were made. */
  unsureUpdates: number;
  /** `asked` from before the first try to delete it; `undeleted` may be asked again. */
  deletion: 'none' | 'asked' | 'done';
}

/** What the table of a run says. */
export interface Counts {
  pointsHit: Set<string>;
  kills: number;
  outages: number;
  acknowledged: number;
  updates: number;
  lost: number;
  halfVisible: number;
  duplicate: number;
  orphans: number;
}

/** What callers were told, against which the world is checked, and whatever was found to be wrong. */
export class Ledger {
  readonly files = new Map<string, KnownFile>();
  readonly counts: Counts = {
    pointsHit: new Set(),
    ...{
      kills: 0,
      outages: 0,
      acknowledged: 0,
      updates: 0,
      lost: 0,
      halfVisible: 0,
      duplicate: 0,
      orphans: 0,
    },
  };
  /** One line for each promise that was broken. */
  readonly broken: string[] = [];
  readonly #byRequest = new Map<string, string>();

  /** Takes down an acknowledged upload; a second one of the same request id must be the same file. */
  acknowledge(file: Omit<KnownFile, 'updates' | 'unsureUpdates' | 'deletion'>): KnownFile {
    const earlier = this.#byRequest.get(file.requestId);
    if (earlier !== undefined && earlier !== file.id) {
      this.breach('duplicate', `request ${file.requestId} made ${earlier} and ${file.id}`);
    }
    this.#byRequest.set(file.requestId, file.id);
    let known = this.files.get(file.id);
    if (known === undefined) {
      known = { ...file, updates: 0, unsureUpdates: 0, deletion: 'none' };
      this.files.set(file.id, known);
      this.counts.acknowledged++;
    }
    return known;
  }

  /** Takes down a broken promise. */
  breach(what: 'lost' | 'halfVisible' | 'duplicate' | 'orphans' | 'other', line: string): void {
    if (what !== 'other') this.counts[what]++;
    this.broken.push(`${what}: ${line}`);
  }
}
