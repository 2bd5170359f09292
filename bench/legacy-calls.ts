import { setTimeout as sleep } from 'node:timers/promises';
import { clientOf, download } from '../test/e2e/support/calls.ts';
import type { LegacyFile, LegacySystem } from '../test/support/legacy/system.ts';
import { startService } from '../test/support/service.ts';

/** Pause between two calls, in milliseconds: the callers are to be few, and the machine not full of them. */
const CALL_EVERY_MS = 20;
const WARM_UP_MS = 3_000;
const ALONE_MS = 20_000;

const NAMES = ['GetFileUrl', 'DownloadFile'] as const;
type Times = Readonly<Record<(typeof NAMES)[number], number[]>>;

/** Calls a service of its own for a while without anything else, and from then on until `end`, which prints both. */
export async function startCalls(legacy: LegacySystem): Promise<{ end(): Promise<void> }> {
  const service = await startService({ ...legacy.env, ASSET_LOG_LEVEL: 'warn' }, { built: true });
  const client = clientOf(service.url);
  const calls: Readonly<Record<(typeof NAMES)[number], (file: LegacyFile) => Promise<unknown>>> = {
    GetFileUrl: ({ id }) => client.getFileUrl({ source: { case: 'fileId', value: id } }),
    DownloadFile: ({ id }) => download(client, id),
  };
  const callUntil = async (isOver: () => boolean): Promise<Times> => {
    const times = { GetFileUrl: [] as number[], DownloadFile: [] as number[] };
    for (let index = 0; !isOver(); index++) {
      // Files from everywhere: moved ones, and such that are not.
      const file = legacy.files[(index * 7_919) % legacy.files.length]!;
      for (const name of NAMES) {
        const started = performance.now();
        await calls[name](file);
        times[name].push(performance.now() - started);
      }
      await sleep(CALL_EVERY_MS);
    }
    return times;
  };
  const callFor = (ms: number) => {
    const until = performance.now() + ms;
    return callUntil(() => performance.now() > until);
  };
  // The first calls of a process compile its code.
  await callFor(WARM_UP_MS);
  const alone = await callFor(ALONE_MS);
  let isOver = false;
  const calling = callUntil(() => isOver);
  return {
    async end() {
      isOver = true;
      const beside = await calling;
      await service.dispose();
      const head = ['p50 alone', 'p99 alone', 'p50 beside', 'p99 beside', 'p99 ratio', 'calls'];
      print('call', ...head);
      for (const name of NAMES) {
        const sets = [alone[name], beside[name]];
        const all = sets.flatMap((times) => [percentile(times, 50), percentile(times, 99)]);
        const ratio = (all[3]! / all[1]!).toFixed(2);
        const counts = sets.map(({ length }) => length).join(', ');
        print(name, ...all.map((ms) => `${ms.toFixed(1)} ms`), ratio, counts);
      }
    },
  };
}

function percentile(times: readonly number[], percent: number): number {
  const sorted = times.toSorted((one, other) => one - other);
  return sorted[Math.floor(((sorted.length - 1) * percent) / 100)] ?? NaN;
}

function print(first: string, ...rest: readonly string[]): void {
  process.stdout.write(`${first.padEnd(20)}${rest.map((text) => text.padStart(18)).join('')}\n`);
}
