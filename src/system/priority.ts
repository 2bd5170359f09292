import { constants, setPriority } from 'node:os';

/**
 * Lowers the priority of a process, so that what callers wait for runs first on cores that both share.
 * Does nothing where the system does not permit it.
 *
 * @param pid - this process by default
 */
export function lowerPriority(pid = 0): void {
  try {
    setPriority(pid, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // Not permitted everywhere; it works without.
  }
}
