import { withoutSecrets } from '../redaction.ts';

/** What a text is shown with on a terminal: no control characters, nothing that turns the direction of writing. */
const CONTROL = /(?![\n\t])[\p{Cc}\p{Cs}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** Greatest rate at which the line of progress changes. */
const REDRAW_MS = 100;

let readerIsGone = false;
let progress = '';
let isDrawn = false;
let drawnAt = 0;

/**
 * Lets the program end in peace where nobody reads its output any more: `asset-service list | head -1`. What only prints
 * stops, since {@link print} says so; what changes something goes on.
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
 * Prints a line to standard output, above the line of progress.
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

/** True if whoever read standard output has gone. */
export function isReaderGone(): boolean {
  return readerIsGone;
}

/** Tells the person something on standard error, above the line of progress. */
export function say(text: string): void {
  clear();
  process.stderr.write(`asset-service: ${withoutSecrets(printable(text))}\n`);
  draw();
}

/** A text without what would steer a terminal. */
export function printable(text: string): string {
  return text.replaceAll(CONTROL, '\ufffd');
}

/** Shows how far something is, on a line of standard error that the next text takes the place of. Nothing where that is no terminal. */
export function showProgress(text: string): void {
  if (!process.stderr.isTTY || process.env['TERM'] === 'dumb') return;
  progress = printable(text).replaceAll('\n', ' ');
  if (performance.now() - drawnAt >= REDRAW_MS) draw();
}

/** Takes the line of progress away. */
export function endProgress(): void {
  clear();
  progress = '';
}

function draw(): void {
  if (progress === '') return;
  // Without wrapping: what stands on a second line could not be taken away.
  process.stderr.write(`\r\u001b[?7l${progress}\u001b[K\u001b[?7h`);
  isDrawn = true;
  drawnAt = performance.now();
}

function clear(): void {
  if (isDrawn) process.stderr.write('\r\u001b[K');
  isDrawn = false;
}
