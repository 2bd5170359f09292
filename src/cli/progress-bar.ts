import { Presets, SingleBar } from 'cli-progress';

/** A progress bar on standard error, so that standard output stays clean; nothing where that is no terminal. */
export function progressBar(label: string): {
  readonly update: (progress: {
    readonly sentBytes: number;
    readonly totalBytes: number | undefined;
  }) => void;
  readonly stop: () => void;
} {
  if (!process.stderr.isTTY) return { update: () => undefined, stop: () => undefined };
  const bar = new SingleBar(
    {
      format: `${label} {bar} {percentage}% {value}/{total} MiB {eta_formatted}`,
      stream: process.stderr,
      hideCursor: true,
    },
    Presets.shades_classic,
  );
  let started = false;
  return {
    update({ sentBytes, totalBytes }) {
      const total = inMebibytes(totalBytes ?? sentBytes);
      if (!started) bar.start(total, 0);
      started = true;
      bar.setTotal(total);
      bar.update(inMebibytes(sentBytes));
    },
    stop() {
      if (started) bar.stop();
    },
  };
}

function inMebibytes(bytes: number): number {
  return Math.round((bytes / 2 ** 20) * 10) / 10;
}
