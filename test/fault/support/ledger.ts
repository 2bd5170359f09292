/** A file that the service has acknowledged. */
export interface KnownFile {
  readonly id: string;
  readonly requestId: string;
  readonly sizeBytes: number;
  /** Hexadecimal. */
  readonly sha256: string;
  readonly usage: string;
  /** Number of acknowledged updates; each adds one to the attribute `width`. */
  updates: number;
  /** Number of updates whose outcome is unknown. */
  unsureUpdates: number;
  /** `asked` before the first attempt to delete it; an `undeleted` file may be deleted again. */
  deletion: 'none' | 'asked' | 'done';
}

/** Counts for the table of a run. */
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

/** Acknowledgements that the checks compare with the store and the catalog, and the violations found. */
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
  /** One line for each violated guarantee. */
  readonly broken: string[] = [];
  readonly #byRequest = new Map<string, string>();

  /** Records an acknowledged upload; a second one with the same request id must give the same file. */
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

  /** Records a violated guarantee. */
  breach(what: 'lost' | 'halfVisible' | 'duplicate' | 'orphans' | 'other', line: string): void {
    if (what !== 'other') this.counts[what]++;
    this.broken.push(`${what}: ${line}`);
  }
}
