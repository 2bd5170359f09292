import { showProgress } from './terminal.ts';

/** Progress of one file, in bytes. */
interface Progress {
  readonly doneBytes: number;
  readonly totalBytes: number | undefined;
}

/** Shows the progress of one file. */
export function fileProgress(label: string): (progress: Progress) => void {
  const started = performance.now();
  return ({ doneBytes, totalBytes }) => {
    const seconds = (performance.now() - started) / 1000;
    const rate = seconds > 0 ? `, ${sizeAsText(doneBytes / seconds)}/s` : '';
    showProgress(`${share(doneBytes, totalBytes)}${rate}  ${label}`);
  };
}

/** Shows how many files are done and the progress of the last active one. */
export function filesProgress(count: number): {
  readonly moved: (label: string, progress: Progress) => void;
  readonly done: () => void;
} {
  let done = 0;
  return {
    moved: (label, { doneBytes, totalBytes }) =>
      showProgress(`${done}/${count} files  ${share(doneBytes, totalBytes)}  ${label}`),
    done: () => showProgress(`${++done}/${count} files`),
  };
}

function share(done: number, total: number | undefined): string {
  if (total === undefined || total === 0) return sizeAsText(done);
  return `${Math.floor((100 * done) / total)}% of ${sizeAsText(total)}`;
}

/** A number of bytes as text, such as `1.5 MiB`. */
export function sizeAsText(bytes: number): string {
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  if (bytes < 1024) return `${Math.round(bytes)} B`;
  let value = bytes / 1024;
  while (value >= 1024 && units.length > 1) {
    value /= 1024;
    units.shift();
  }
  return `${value.toFixed(1)} ${units[0]}`;
}
