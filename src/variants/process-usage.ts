import { readFileSync } from 'node:fs';

/** Length of a tick in `/proc`: the same on all Linux systems that Node.js runs on. */
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
    const [user, system] = [fields[11], fields[12]].map(Number) as [number, number];
    // In pages it would need their size, which is not 4 KiB everywhere on arm64.
    const [, kibibytes = 0] =
      /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1')) ?? [];
    return { memoryBytes: Number(kibibytes) * 1_024, cpuMs: (user + system) * TICK_MS };
  } catch {
    return undefined;
  }
}
