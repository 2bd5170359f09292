import { mkdir, readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from '../test/support/install.ts';
import { takesPart, type Case } from './cases.ts';
import { categoryOf, type CallFrame } from './profile-categories.ts';
import { warmUpAmount } from './measure.ts';
import { cpuSeconds } from './usage.ts';
import { openWorld } from './world.ts';

/** CPU profile of the service's main thread during one case. */
export interface Profile {
  readonly case: Case;
  readonly amount: number;
  readonly contestant: string;
  /** File for Chrome's developer tools. */
  readonly path: string;
  /** CPU time of the whole process, in seconds. */
  readonly cpuSeconds: number;
  /** Seconds of the main thread by category, in descending order; without idle time. */
  readonly categories: readonly (readonly [name: string, seconds: number])[];
  /** Seconds of the main thread by function, in descending order. */
  readonly functions: readonly (readonly [name: string, seconds: number])[];
}

/** The used parts of a `.cpuprofile` file. */
interface CpuProfile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: CallFrame }[];
  /** Microseconds of the monotonic clock, which all processes share. */
  readonly startTime: number;
  readonly samples: readonly number[];
  /** Microseconds since the previous sample. */
  readonly timeDeltas: readonly number[];
}

/** Runs a case with its first contestant while the service writes a CPU profile, and summarises the profile. */
export async function profileCase(one: Case, quick: boolean): Promise<Profile> {
  const dir = join(ROOT, '.cache', 'profiles', one.id);
  await rm(dir, { recursive: true, force: true });
  await mkdir(dir, { recursive: true });
  const amount = quick ? one.quickAmount : one.amount;
  const world = await openWorld({ withTusd: false, profileDir: dir });
  try {
    const [contestant, ...others] = (await one.open(world)).filter(takesPart);
    await contestant!.run(quick ? amount : warmUpAmount(one));
    const pid = world.service.pid!;
    const [before, from] = [cpuSeconds(pid), now()];
    await contestant!.run(amount);
    const [after, to] = [cpuSeconds(pid), now()];
    for (const each of [contestant!, ...others]) await each.close();
    await world.service.stop();
    const [file] = await readdir(dir);
    if (file === undefined) throw new Error('the service wrote no profile');
    const path = join(dir, file);
    const profile = JSON.parse(await readFile(path, 'utf8')) as CpuProfile;
    const self = selfTimes(profile, from, to);
    return {
      ...{ case: one, amount, path, contestant: contestant!.name, cpuSeconds: after - before },
      categories: sumBy(self, categoryOf),
      functions: sumBy(self, nameOf),
    };
  } finally {
    await world.close();
  }
}

/** The monotonic clock, in microseconds. */
function now(): number {
  return Number(process.hrtime.bigint() / 1000n);
}

/** Self time of each function between two times, in seconds. */
function selfTimes(profile: CpuProfile, from: number, to: number): Map<CallFrame, number> {
  const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]));
  const self = new Map<CallFrame, number>();
  let time = profile.startTime;
  for (const [index, id] of profile.samples.entries()) {
    time += profile.timeDeltas[index]!;
    // A sample covers the time until the next one.
    const seconds = (profile.timeDeltas[index + 1] ?? 0) / 1e6;
    const frame = frames.get(id)!;
    if (time < from || time > to || frame.functionName === '(idle)') continue;
    self.set(frame, (self.get(frame) ?? 0) + seconds);
  }
  return self;
}

function sumBy(self: ReadonlyMap<CallFrame, number>, key: (frame: CallFrame) => string): [string, number][] {
  const sums = new Map<string, number>();
  for (const [frame, seconds] of self) sums.set(key(frame), (sums.get(key(frame)) ?? 0) + seconds);
  return [...sums].sort(([, a], [, b]) => b - a);
}

function nameOf({ functionName, url, lineNumber }: CallFrame): string {
  const name = functionName || '(anonymous)';
  if (url === '') return name;
  const file = url
    .replace(/^file:\/\//, '')
    .replace(`${ROOT}/`, '')
    .replace(/^node_modules\//, '');
  return `${name} ${file}:${lineNumber + 1}`;
}
