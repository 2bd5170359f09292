import { createHash, randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import type { FileCatalog } from '../catalog/file-catalog.ts';
import type { Config } from '../config/config.ts';
import { EQUAL_SETTINGS, FINGERPRINT_LENGTH, fingerprints } from '../config/equal-settings.ts';
import { REPLICA_LEASES } from '../move/replicas/presence.ts';

const PREFIX = `${REPLICA_LEASES}settings-`;

/** Maximum length of the holder of a lease; hence several leases for one replica. */
const HOLDER_LENGTH = 64;

/** Begins the holder: replicas of another release may have other settings, and are not compared. */
const TAG = createHash('sha256').update(EQUAL_SETTINGS.join()).digest('base64url').slice(0, 4);

/** Time between two writes of unchanged leases, in milliseconds. */
const SHOW_EVERY_MS = 10_000;

/** How long a replica that was killed is still compared, in milliseconds. */
const SHOWN_MS = 30_000;

/** How long leases of replicas are kept after they expired, in milliseconds: clocks differ. */
const KEPT_MS = 600_000;

const PAGE = 500;

/**
 * Notices that another replica runs with other settings. Each replica shows fingerprints of its settings in the catalog,
 * as leases that it renews, and compares those of the others.
 */
export class ReplicaSettings {
  readonly #config: Config;
  readonly #catalog: Pick<FileCatalog, 'importState' | 'exportState' | 'dropState'>;
  readonly #log: Logger;
  readonly #id = randomBytes(8).toString('hex').slice(0, 15);
  #differing: readonly string[] = [];
  #running: Promise<void> = Promise.resolve();
  #isClosed = false;
  #shown = '';
  #showAt = 0;

  constructor(
    config: Config,
    catalog: Pick<FileCatalog, 'importState' | 'exportState' | 'dropState'>,
    log: Logger,
  ) {
    this.#config = config;
    this.#catalog = catalog;
    this.#log = log;
  }

  /**
   * Shows the settings of this replica and compares those of the others. Logs when that changes.
   *
   * @throws Error that names the settings in which another replica differs
   */
  async check(call: { readonly signal: AbortSignal }): Promise<void> {
    if (this.#isClosed) return;
    this.#running = this.#compare(call).catch((error: unknown) => {
      // The health of the catalog tells that it is down.
      this.#log.debug({ err: error }, 'the settings of the replicas cannot be compared now');
    });
    await this.#running;
    if (this.#differing.length === 0) return;
    throw new Error(`another replica runs with other values of ${this.#differing.join(', ')}`);
  }

  /** Takes back what this replica shows. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#running;
    const keys = this.#own().map(({ key }) => key);
    // Otherwise it expires.
    await this.#catalog
      .dropState('lease', keys, { signal: AbortSignal.timeout(2_000) })
      .catch(() => undefined);
  }

  /** The leases of this replica: several fingerprints in each. */
  #own() {
    const all = fingerprints(this.#config).join('');
    const size = HOLDER_LENGTH - TAG.length - ((HOLDER_LENGTH - TAG.length) % FINGERPRINT_LENGTH);
    const expireTime = Date.now() + SHOWN_MS + 2 * this.#config.settings.ASSET_HEALTH_INTERVAL;
    return Array.from({ length: Math.ceil(all.length / size) }, (_none, at) => ({
      kind: 'lease' as const,
      key: `${PREFIX}${this.#id}-${at}`,
      value: { holder: TAG + all.slice(at * size, (at + 1) * size), expireTime },
    }));
  }

  async #compare(call: { readonly signal: AbortSignal }): Promise<void> {
    const own = this.#own();
    const shown = own.map(({ value }) => value.holder).join();
    if (shown !== this.#shown || Date.now() >= this.#showAt) {
      await this.#catalog.importState(own, call);
      this.#shown = shown;
      this.#showAt = Date.now() + SHOW_EVERY_MS;
    }
    const differing = new Set<number>();
    const others = new Set<string>();
    const gone: string[] = [];
    const perLease = (own[0]!.value.holder.length - TAG.length) / FINGERPRINT_LENGTH;
    for (let from: string | undefined; ;) {
      const { items, next } = await this.#catalog.exportState('lease', from, PAGE, call);
      for (const { key, value } of items) {
        // Of replicas that were killed; those of moves too.
        if (key.startsWith(REPLICA_LEASES) && value.expireTime + KEPT_MS < Date.now()) gone.push(key);
        if (!key.startsWith(PREFIX)) continue;
        if (value.expireTime < Date.now() || !value.holder.startsWith(TAG)) continue;
        const [id, at] = key.slice(PREFIX.length).split('-');
        const mine = own[Number(at)]?.value.holder;
        if (id === this.#id || mine === undefined || mine === value.holder) continue;
        others.add(id!);
        for (const index of differences(mine.slice(TAG.length), value.holder.slice(TAG.length)))
          differing.add(Number(at) * perLease + index);
      }
      if (next === undefined) break;
      from = next;
    }
    if (gone.length > 0) await this.#catalog.dropState('lease', gone, call);
    this.#tell([...differing].map((index) => EQUAL_SETTINGS[index]!).toSorted(), others.size);
  }

  #tell(differing: readonly string[], replicas: number): void {
    if (differing.join() === this.#differing.join()) return;
    this.#differing = differing;
    if (differing.length === 0) return this.#log.info('the replicas run with the same settings again');
    this.#log.warn(
      { settings: differing, replicas },
      'other replicas run with other values of these settings: give all replicas the same, and restart those that have others',
    );
  }
}

/** Positions of the fingerprints in which two texts differ. */
function differences(one: string, other: string): number[] {
  const count = Math.max(one.length, other.length) / FINGERPRINT_LENGTH;
  const at = (text: string, index: number) =>
    text.slice(index * FINGERPRINT_LENGTH, (index + 1) * FINGERPRINT_LENGTH);
  return Array.from({ length: count }, (_none, index) => index).filter(
    (index) => at(one, index) !== at(other, index),
  );
}
