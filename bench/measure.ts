import { takesPart, type Case, type Contestant } from './cases.ts';
import type { Missing } from './uploaders.ts';
import { cpuSeconds, peakMemory, resetPeakMemory } from './usage.ts';
import { openWorld, type World } from './world.ts';

/** What one run came to. */
export interface Sample {
  readonly seconds: number;
  /** CPU time in seconds of the contestant's server; undefined where it has none. */
  readonly serverCpu: number | undefined;
  /** CPU time in seconds of this process, which is the client. */
  readonly clientCpu: number;
  /** CPU time in seconds of the client and every server together. */
  readonly allCpu: number;
  /** Greatest resident memory of the contestant's server, in bytes. */
  readonly peakBytes: number | undefined;
}

/** The runs of one contestant, one a round. */
export interface Series {
  readonly name: string;
  readonly samples: readonly Sample[];
}

/** What a case came to. */
export interface CaseResult {
  readonly case: Case;
  /** Work of one run. */
  readonly amount: number;
  readonly series: readonly Series[];
  readonly missing: readonly Missing[];
}

/** How long the machine may come to rest before a run, in milliseconds. */
const REST_MS = 300;

/**
 * Runs the contestants of a case in turns, every second round in the opposite order, so that what slows the machine
 * down for a while slows all of them. Each round has new servers, on which each contestant first warms up.
 */
export async function measureCase(one: Case, quick: boolean): Promise<CaseResult> {
  const amount = quick ? one.quickAmount : one.amount;
  const series = new Map<string, Sample[]>();
  let missing: readonly Missing[] = [];
  for (let round = 0; round < (quick ? 1 : one.rounds); round++) {
    const world = await openWorld({ withTusd: !quick });
    try {
      const opened = await one.open(world);
      missing = opened.filter((each): each is Missing => !takesPart(each));
      const contestants = opened.filter(takesPart);
      if (!quick) for (const contestant of contestants) await contestant.run(warmUpAmount(one));
      for (const contestant of round % 2 === 0 ? contestants : contestants.toReversed()) {
        const samples = series.get(contestant.name) ?? [];
        series.set(contestant.name, samples);
        samples.push(await measure(contestant, amount, world));
      }
      for (const contestant of contestants) contestant.close();
    } finally {
      await world.close();
    }
  }
  // In the order of the first round.
  return { case: one, amount, missing, series: [...series].map(([name, samples]) => ({ name, samples })) };
}

/** Work that lets the compiler of JavaScript see what is needed. */
export function warmUpAmount({ amount, quickAmount }: Case): number {
  return Math.max(quickAmount, amount / 8);
}

async function measure(contestant: Contestant, amount: number, world: World): Promise<Sample> {
  const { serverPid } = contestant;
  const { service, store, pocketbase, tusd } = world;
  const servers = [service, store, pocketbase, ...('missing' in tusd ? [] : [tusd])];
  const cpuOf = (pid: number | undefined) => (pid === undefined ? 0 : cpuSeconds(pid));
  const look = () => ({
    server: cpuOf(serverPid),
    client: cpuSeconds(process.pid),
    all: servers.reduce((sum, { pid }) => sum + cpuOf(pid), cpuSeconds(process.pid)),
  });
  await new Promise((resolve) => setTimeout(resolve, REST_MS));
  if (serverPid !== undefined) resetPeakMemory(serverPid);
  const before = look();
  const started = performance.now();
  await contestant.run(amount);
  const seconds = (performance.now() - started) / 1000;
  const after = look();
  return {
    seconds,
    serverCpu: serverPid === undefined ? undefined : after.server - before.server,
    clientCpu: after.client - before.client,
    allCpu: after.all - before.all,
    peakBytes: serverPid === undefined ? undefined : peakMemory(serverPid),
  };
}
