import type { Metrics } from '../../telemetry/metrics.ts';
import type { GaugeValue } from '../../telemetry/own-metrics.ts';
import type { FileCatalog } from '../../catalog/file-catalog.ts';
import { backfillState } from '../../legacy/backfill-state.ts';
import { moveStatus, stateOf } from '../../move/catalog/status.ts';
import { storeMoveStatus } from '../../move/store/status.ts';
import { lastPass, verifyPass } from '../../move/verifier.ts';

/** Time between two readings, in milliseconds: a scrape does not wait for the catalog. */
const READ_EVERY_MS = 15_000;

const READ_TIMEOUT_MS = 10_000;

/** Maximum number of entries counted of each list of the sweeper. */
const MAX_BACKLOG = 1_000;

/** What the state is read from. */
export interface StateParts {
  readonly catalog: FileCatalog;
}

/** Metrics that are read together from the catalog. */
interface Reading {
  /** Name, unit and description of each metric, by key. */
  readonly metrics: Readonly<Record<string, readonly [name: string, unit: string, description: string]>>;
  readonly read: (
    catalog: FileCatalog,
    signal: AbortSignal,
  ) => Promise<Readonly<Record<string, GaugeValue[]>>>;
}

const READINGS: readonly Reading[] = [
  {
    metrics: {
      lag: ['asset.changes.lag', 's', 'Age of the oldest committed change that watches cannot read yet'],
    },
    read: async (catalog, signal) => ({ lag: [[(await catalog.changes.lag({ signal })) / 1000]] }),
  },
  {
    metrics: {
      backlog: [
        'asset.sweep.backlog',
        '{item}',
        `Items that are due to be removed, by kind; ${MAX_BACKLOG} stands for that many or more`,
      ],
    },
    async read(catalog, signal) {
      const now = new Date();
      const files = await catalog.listPurgeable(now, MAX_BACKLOG, { signal });
      const holds = await catalog.uploads.listPast(now, MAX_BACKLOG, { signal });
      const reservations = holds.filter(({ kind }) => kind === 'reservation').length;
      const counts = { file: files.length, reservation: reservations, upload: holds.length - reservations };
      return { backlog: Object.entries(counts).map(([kind, count]) => [count, { kind }]) };
    },
  },
  {
    metrics: {
      files: [
        'asset.verify.files',
        '{file}',
        'Files of the running verification, otherwise of the last one, by result: checked, damaged, unknown, not_moved',
      ],
      running: ['asset.verify.running', '{status}', '1 while a verification of all files runs, otherwise 0'],
      ended: [
        'asset.verify.last.end',
        's',
        'When the last full verification ended, in seconds since 1970; 0 if there was none',
      ],
    },
    async read(catalog, signal) {
      const [pass, last] = await Promise.all([verifyPass(catalog, signal), lastPass(catalog, signal)]);
      const isRunning = pass?.state === 'running';
      const state = isRunning ? pass : last;
      const { checked = 0, unknown = 0, notMoved = 0, damagedCount = 0 } = state ?? {};
      // Damage stays visible while the next pass runs.
      const damaged = Math.max(damagedCount, last?.damagedCount ?? 0);
      const results = { checked, damaged, unknown, not_moved: notMoved };
      return {
        files: Object.entries(results).map(([result, count]) => [count, { result }]),
        running: [[Number(isRunning)]],
        ended: [[last === undefined ? 0 : Date.parse(last.endTime) / 1000]],
      };
    },
  },
  {
    metrics: {
      state: [
        'asset.move.state',
        '{status}',
        '1 for the state of each move: none if it was not begun, log_lost if the change log was cut before its position',
      ],
      items: ['asset.move.items', '{item}', 'Items of each move by result'],
      lag: ['asset.move.lag', 's', 'Age of the oldest change that the target of a move does not have'],
    },
    async read(catalog, signal) {
      const [{ progress, row, lagMs }, store, backfill] = await Promise.all([
        moveStatus(catalog, undefined, signal, { isServing: true }),
        storeMoveStatus(catalog, signal),
        backfillState(catalog.legacy, { signal }),
      ]);
      const { copied = 0, followed = 0, refused = [] } = progress ?? {};
      const ofCatalog = { copied, followed, refused: refused.length };
      const moved = store.progress;
      const ofStore = {
        ...{ copied: moved?.copied ?? 0, followed: moved?.followed ?? 0 },
        refused: moved?.refused.length ?? 0,
      };
      const itemsOf = (move: string, counts: Readonly<Record<string, number>>): GaugeValue[] =>
        Object.entries(counts).map(([result, count]) => [count, { move, result }]);
      return {
        state: [
          [1, { move: 'catalog', state: lagMs === undefined ? 'log_lost' : stateOf({ progress, row }) }],
          [1, { move: 'store', state: store.lagMs === undefined ? 'log_lost' : store.state }],
          [1, { move: 'legacy', state: backfill?.state ?? 'none' }],
        ],
        items: [
          ...itemsOf('catalog', ofCatalog),
          ...itemsOf('store', ofStore),
          ...itemsOf('legacy', { ...backfill?.counts }),
        ],
        lag: Object.entries({ catalog: lagMs, store: store.lagMs }).flatMap(([move, ms]): GaugeValue[] =>
          ms === undefined ? [] : [[ms / 1000, { move }]],
        ),
      };
    },
  },
];

/**
 * Metrics of what the catalog says about the work of all replicas. While it does not answer, they have no values.
 *
 * @param everyMs - time between two readings, in milliseconds
 * @returns a function that stops the reading
 */
export function stateMetrics(
  { gauge }: Pick<Metrics, 'gauge'>,
  { catalog }: StateParts,
  everyMs = READ_EVERY_MS,
): () => void {
  const updates = READINGS.map(({ metrics, read }) => {
    let values: Readonly<Record<string, GaugeValue[]>> = {};
    for (const [key, [name, unit, description]] of Object.entries(metrics)) {
      gauge(name, { unit, description }, () => values[key] ?? []);
    }
    return async () => {
      const before = values;
      const next = await read(catalog, AbortSignal.timeout(READ_TIMEOUT_MS)).catch(() => ({}));
      if (values === before) values = next;
    };
  });
  const update = () => {
    for (const one of updates) void one();
  };
  update();
  const timer = setInterval(update, everyMs);
  timer.unref();
  return () => clearInterval(timer);
}
