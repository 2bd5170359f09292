import { unwatchFile, watchFile } from 'node:fs';

/** Time between two looks at a file, in milliseconds. */
const INTERVAL_MS = 1000;

/**
 * Calls `onChange` whenever one of these files has become another. It looks at them by their paths once a second, since a notice
 * of the file system follows neither a file that is replaced nor the links by which Kubernetes swaps a secret.
 *
 * @returns how to stop
 */
export function watchFiles(paths: readonly string[], onChange: () => void): () => void {
  const listener = () => onChange();
  for (const path of paths) watchFile(path, { interval: INTERVAL_MS, persistent: false }, listener);
  return () => {
    for (const path of paths) unwatchFile(path, listener);
  };
}
