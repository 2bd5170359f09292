import { readdirSync, readFileSync } from 'node:fs';

/** Sends a signal to a process and all its descendants: a PostgreSQL is one process for each connection. */
export function signalTree(pid: number, signal: 'SIGSTOP' | 'SIGCONT'): void {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const fields = readFileSync(`/proc/${name}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .split(' ');
      parents.set(Number(name), Number(fields[1]));
    } catch {
      // It has just ended.
    }
  }
  const isWithin = (one: number): boolean => one === pid || (parents.has(one) && isWithin(parents.get(one)!));
  // The parent first, so that it starts no further ones meanwhile.
  for (const one of [pid, ...[...parents.keys()].filter((other) => other !== pid && isWithin(other))]) {
    try {
      process.kill(one, signal);
    } catch {
      // It has just ended.
    }
  }
}
