import { MultiBar, Presets, SingleBar } from 'cli-progress';

/** How far one file is, in bytes. */
interface Progress {
  readonly sentBytes: number;
  readonly totalBytes: number | undefined;
}

const FORMAT = '{label} {bar} {percentage}% {value}/{total} MiB {eta_formatted}';

/** A progress bar on standard error, so that standard output stays clean; nothing where that is no terminal. */
export function progressBar(label: string): {
  readonly update: (progress: Progress) => void;
  readonly stop: () => void;
} {
  if (!process.stderr.isTTY) return { update: () => undefined, stop: () => undefined };
  const bar = new SingleBar(
    { format: FORMAT, stream: process.stderr, hideCursor: true },
    Presets.shades_classic,
  );
  let started = false;
  return {
    update({ sentBytes, totalBytes }) {
      const total = inMebibytes(totalBytes ?? sentBytes);
      if (!started) bar.start(total, 0, { label });
      started = true;
      bar.setTotal(total);
      bar.update(inMebibytes(sentBytes));
    },
    stop() {
      if (started) bar.stop();
    },
  };
}

/**
 * A progress bar for each file that is on its way, and one for all of them. A bar goes when its file is done: thousands
 * would not fit on a terminal.
 */
export function progressBars(count: number): {
  readonly update: (index: number, label: string, progress: Progress) => void;
  readonly done: (index: number) => void;
  readonly stop: () => void;
} {
  if (!process.stderr.isTTY) return { update: () => undefined, done: () => undefined, stop: () => undefined };
  const bars = new MultiBar(
    { format: FORMAT, stream: process.stderr, hideCursor: true, clearOnComplete: true },
    Presets.shades_classic,
  );
  const all = bars.create(count, 0, {}, { format: 'all {bar} {percentage}% {value}/{total} files' });
  const running = new Map<number, SingleBar>();
  return {
    update(index, label, { sentBytes, totalBytes }) {
      const total = inMebibytes(totalBytes ?? sentBytes);
      let bar = running.get(index);
      if (bar === undefined) running.set(index, (bar = bars.create(total, 0, { label })));
      bar.setTotal(total);
      bar.update(inMebibytes(sentBytes));
    },
    done(index) {
      const bar = running.get(index);
      if (bar !== undefined) bars.remove(bar);
      running.delete(index);
      all.increment();
    },
    stop: () => {
      if (bars.isActive) bars.stop();
    },
  };
}

function inMebibytes(bytes: number): number {
  return Math.round((bytes / 2 ** 20) * 10) / 10;
}
