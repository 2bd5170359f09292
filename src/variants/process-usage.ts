import { readFileSync } from 'node:fs';

/** Size of a page, and length of a tick, in `/proc`: the same on all Linux systems that Node.js runs on. */
const PAGE_BYTES = 4_096;
const TICK_MS = 10;

/** What a process uses. */
export interface ProcessUsage {
  /** Resident memory in bytes. */
  readonly memoryBytes: number;
  /** CPU time since its start, in milliseconds. */
  readonly cpuMs: number;
}

/** What a process uses now; undefined if it has ended or the system has no `/proc`. */
export function usageOf(pid: number | undefined): ProcessUsage | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name of the program, in parentheses, may have spaces. The first field after it is the third one.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const [user, system, pages] = [fields[11], fields[12], fields[21]].map(Number) as [
      number,
      number,
      number,
    ];
    return { memoryBytes: pages * PAGE_BYTES, cpuMs: (user + system) * TICK_MS };
  } catch {
    return undefined;
  }
}
