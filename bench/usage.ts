import { readFileSync, writeFileSync } from 'node:fs';

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

/** Maximum resident memory of a process since {@link resetPeakMemory}, in bytes. Needs Linux. */
export function peakMemory(pid: number): number {
  const [, kibibytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kibibytes) * 1024;
}

/** Resets the maximum resident memory to the current value. */
export function resetPeakMemory(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
}
