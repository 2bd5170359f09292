import { takesPart, type Case, type Contestant } from './cases.ts';
import type { Missing } from './uploaders.ts';
import { cpuSeconds, peakMemory, resetPeakMemory } from './usage.ts';
import { openWorld, type World } from './world.ts';

/** Measurements of one run. */
export interface Sample {
  readonly seconds: number;
  /** CPU time of the contestant's server in seconds; undefined if it has none. */
  readonly serverCpu: number | undefined;
  /** CPU time of this process (the client) in seconds. */
  readonly clientCpu: number;
  /** CPU time of the client and all servers in seconds. */
  readonly allCpu: number;
  /** Maximum resident memory of the contestant's server in bytes. */
  readonly peakBytes: number | undefined;
}

/** The runs of one contestant, one per round. */
export interface Series {
  readonly name: string;
  readonly samples: readonly Sample[];
}

/** The result of a case. */
export interface CaseResult {
  readonly case: Case;
  /** Work of one run. */
  readonly amount: number;
  readonly series: readonly Series[];
  readonly missing: readonly Missing[];
}

/** Pause before a run, in milliseconds. */
const REST_MS = 300;

/** Maximum time of a run in milliseconds: ten times what the slowest needs. Whoever takes longer hangs. */
const RUN_LIMIT_MS = 120_000;

/** A contestant failed or hung. */
class Failed extends Error {
  readonly contestant: string;

  constructor(contestant: string, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.contestant = contestant;
  }
}

/**
 * Runs the contestants of a case in turns, every second round in reverse order, so that temporary load affects all
 * of them. A contestant that fails or hangs is left out, and the case starts again without it.
 */
export async function measureCase(one: Case, quick: boolean): Promise<CaseResult> {
  const failed = new Map<string, string>();
  for (;;) {
    try {
      return await measureOthers(one, quick, failed);
    } catch (error) {
      if (!(error instanceof Failed)) throw error;
      failed.set(error.contestant, error.message);
      console.error(`${one.id}: ${error.contestant} is left out: ${error.message}`);
    }
  }
}

async function measureOthers(
  one: Case,
  quick: boolean,
  failed: ReadonlyMap<string, string>,
): Promise<CaseResult> {
  const amount = quick ? one.quickAmount : one.amount;
  const rounds = quick ? 1 : one.rounds;
  // Large files would fill the memory where servers keep them; other cases need no new servers for each round.
  const roundsOfWorld = one.unit === 'byte' ? 1 : rounds;
  const series = new Map<string, Sample[]>();
  let missing: readonly Missing[] = [];
  for (let round = 0; round < rounds;) {
    const world = await openWorld({ withTusd: !quick });
    const opened = await one.open(world).catch(async (error: unknown) => {
      await world.close();
      throw error;
    });
    const contestants = opened.filter(takesPart).filter(({ name }) => !failed.has(name));
    missing = opened.filter((each): each is Missing => !takesPart(each));
    try {
      if (!quick) for (const contestant of contestants) await contestRun(contestant, warmUpAmount(one));
      for (let more = roundsOfWorld; more > 0; more--, round++) {
        for (const contestant of round % 2 === 0 ? contestants : contestants.toReversed()) {
          const samples = series.get(contestant.name) ?? [];
          series.set(contestant.name, samples);
          samples.push(await measure(contestant, amount, world));
        }
      }
    } finally {
      for (const contestant of opened.filter(takesPart)) await contestant.close();
      await world.close();
    }
  }
  return {
    ...{ case: one, amount },
    missing: [...missing, ...[...failed].map(([name, why]) => ({ name, missing: why, failed: true }))],
    // In the order of the first round.
    series: [...series].map(([name, samples]) => ({ name, samples })),
  };
}

/** Runs a contestant. Every failure becomes {@link Failed}. */
async function contestRun(contestant: Contestant, amount: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const hung = new Promise<never>((_, reject) => {
    const message = `no end of a run after ${RUN_LIMIT_MS / 1000} s`;
    timer = setTimeout(() => reject(new Error(message)), RUN_LIMIT_MS);
  });
  try {
    await Promise.race([contestant.run(amount), hung]);
  } catch (error) {
    throw new Failed(contestant.name, error);
  } finally {
    clearTimeout(timer);
  }
}

/** Work that lets the JavaScript engine compile the code: as much as a run, or less for long runs. */
export function warmUpAmount({ unit, amount, quickAmount }: Case): number {
  return unit === 'byte' ? Math.max(quickAmount, amount / 8) : amount;
}

async function measure(contestant: Contestant, amount: number, world: World): Promise<Sample> {
  const { serverPids } = contestant;
  const { service, store, pocketbase, tusd } = world;
  const servers = [service, store, pocketbase, ...('missing' in tusd ? [] : [tusd])];
  const all = new Set([process.pid, ...servers.map(({ pid }) => pid!), ...serverPids]);
  const sum = (pids: Iterable<number>, of: (pid: number) => number) =>
    [...pids].reduce((total, pid) => total + of(pid), 0);
  const look = () => ({
    server: sum(serverPids, cpuSeconds),
    client: cpuSeconds(process.pid),
    all: sum(all, cpuSeconds),
  });
  await new Promise((resolve) => setTimeout(resolve, REST_MS));
  serverPids.forEach(resetPeakMemory);
  const before = look();
  const started = performance.now();
  await contestRun(contestant, amount);
  const seconds = (performance.now() - started) / 1000;
  const after = look();
  return {
    seconds,
    serverCpu: serverPids.length === 0 ? undefined : after.server - before.server,
    clientCpu: after.client - before.client,
    allCpu: after.all - before.all,
    peakBytes: serverPids.length === 0 ? undefined : sum(serverPids, peakMemory),
  };
}
