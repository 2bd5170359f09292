import { withoutSecrets } from '../errors/redaction.ts';

/** Characters that are not shown on a terminal: control characters and bidirectional controls. */
const CONTROL = /(?![\n\t])[\p{Cc}\p{Cs}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** Minimum time between two updates of the progress line, in milliseconds. */
const REDRAW_MS = 100;

let readerIsGone = false;
let progress = '';
let isDrawn = false;
let drawnAt = 0;

/**
 * Handles a closed standard output (`asset-service list | head -1`). Commands that only print stop, because {@link
 * print} returns false; commands that change something continue.
 */
export function guardOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    const isFirst = !readerIsGone;
    readerIsGone = true;
    if (error.code === 'EPIPE' || !isFirst) return;
    say(`standard output could not be written: ${error.code ?? error.message}`);
    process.exitCode = 1;
  });
  process.stderr.on('error', () => undefined);
}

/**
 * Prints a line to standard output, above the progress line.
 *
 * @returns false if nobody reads it
 */
export async function print(text: string): Promise<boolean> {
  if (readerIsGone) return false;
  clear();
  const written = new Promise<boolean>((resolve) => {
    process.stdout.write(`${text}\n`, (error) => resolve(!error));
  });
  draw();
  return written;
}

/** True if the reader of standard output has closed it. */
export function isReaderGone(): boolean {
  return readerIsGone;
}

/** Prints a message to standard error, above the progress line. */
export function say(text: string): void {
  clear();
  process.stderr.write(`asset-service: ${withoutSecrets(printable(text))}\n`);
  draw();
}

/** A text without control characters. */
export function printable(text: string): string {
  return text.replaceAll(CONTROL, '\ufffd');
}

/**
 * Shows progress on a line of standard error that the next output replaces. Does nothing if standard error is not a
 * terminal.
 */
export function showProgress(text: string): void {
  if (!process.stderr.isTTY || process.env['TERM'] === 'dumb') return;
  progress = printable(text).replaceAll('\n', ' ');
  if (performance.now() - drawnAt >= REDRAW_MS) draw();
}

/** Removes the progress line. */
export function endProgress(): void {
  clear();
  progress = '';
}

function draw(): void {
  if (progress === '') return;
  // Without wrapping, because a second line could not be removed.
  process.stderr.write(`\r\u001b[?7l${progress}\u001b[K\u001b[?7h`);
  isDrawn = true;
  drawnAt = performance.now();
}

function clear(): void {
  if (isDrawn) process.stderr.write('\r\u001b[K');
  isDrawn = false;
}

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
