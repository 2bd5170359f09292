import { unwatchFile, watchFile } from 'node:fs';

/** Polling interval in milliseconds. */
const INTERVAL_MS = 1000;

/**
 * Calls `onChange` when one of these files has changed. Polls once a second by path, because file system events
 * follow neither a replaced file nor the symbolic links by which Kubernetes swaps a secret.
 *
 * @returns a function that stops it
 */
export function watchFiles(paths: readonly string[], onChange: () => void): () => void {
  const listener = () => onChange();
  for (const path of paths) watchFile(path, { interval: INTERVAL_MS, persistent: false }, listener);
  return () => {
    for (const path of paths) unwatchFile(path, listener);
  };
}
