import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

/** Kernel clock ticks per second; 100 on every Linux that Node.js supports. */
const TICKS_PER_SECOND = 100;

/** CPU time of a process with all its threads so far, in seconds. Needs Linux. */
export function cpuSeconds(pid: number): number {
  // The second field is the program's name in brackets, which may contain spaces.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  const [user, system] = [fields[11], fields[12]].map(Number);
  return ((user ?? NaN) + (system ?? NaN)) / TICKS_PER_SECOND;
}

/**
 * CPU time of a server and its child processes so far, in seconds, with that of children that have ended. Needs Linux.
 */
export function treeCpuSeconds(pid: number): number {
  let sum = 0;
  for (const entry of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    let stat: string;
    try {
      stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
    } catch {
      continue;
    }
    // The second field is the program's name in brackets, which may contain spaces.
    const fields = stat
      .replace(/^.*\) /s, '')
      .split(' ')
      .map(Number);
    const isOwn = Number(entry) === pid;
    if (!isOwn && fields[1] !== pid) continue;
    for (const field of isOwn ? [11, 12, 13, 14] : [11, 12]) sum += fields[field]!;
  }
  return sum / TICKS_PER_SECOND;
}

/** Maximum resident memory of a process since {@link resetPeakMemory}, in bytes. Needs Linux. */
export function peakMemory(pid: number): number {
  const [, kibibytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kibibytes) * 1024;
}

/** Resets the maximum resident memory to the current value. */
export function resetPeakMemory(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
}
