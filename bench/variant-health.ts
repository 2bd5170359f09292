import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import { pdf, png, profileBomb } from '../test/attack/support/images.ts';
import { Code, type ConnectError } from '@connectrpc/connect';
import { ErrorInfoSchema } from '@asset-service/contract/google/rpc/error_details_pb.js';
import { clientOf, upload } from '../test/e2e/support/calls.ts';
import { healthOf, type Service } from '../test/support/service.ts';

const MiB = 2 ** 20;

/** Time between two health checks, in milliseconds. */
const INTERVAL_MS = 20;

/** Images that cost their decoder as much as they can: by time, by memory, or by being refused late. */
async function hostileImages(): Promise<readonly Buffer[]> {
  const noise = { type: 'gaussian', mean: 128, sigma: 60 } as const;
  const large = sharp({ create: { width: 6_500, height: 6_500, channels: 3, background: 'grey', noise } });
  return [
    png({ width: 16_384, height: 16_384 }),
    png({ width: 7_000, height: 7_000 }),
    png({ width: 5_000, height: 5_000, colour: 6, depth: 16, isInterlaced: true }),
    png({ width: 80, height: 60, colour: 2, depth: 8, chunks: [profileBomb(64 * MiB)] }),
    await large.jpeg({ progressive: true }).toBuffer(),
    (await large.jpeg().toBuffer()).subarray(0, 2 * MiB),
    pdf({ pages: 1, width: 3_000_000, height: 3_000_000 }),
    pdf({ pages: 10_000 }),
  ];
}

/**
 * Prints how long health checks take before and while all processes decode hostile images, and the resident memory of the
 * service itself.
 *
 * @param variant - name of a variant that the default usage has
 * @param callers - requests for variants at the same time
 */
export async function measureHealth(
  service: Service,
  {
    variant,
    callers,
    seconds,
  }: { readonly variant: string; readonly callers: number; readonly seconds: number },
): Promise<void> {
  const client = clientOf(service.url);
  const images = await hostileImages();
  let outcomes = new Map<string, number>();
  const attack = async (signal: AbortSignal) => {
    for (let index = 0; !signal.aborted; index++) {
      const { id } = await upload(client, Buffer.from(images[index % images.length]!), { file: {} });
      const outcome = await client
        .getFileUrl({ source: { case: 'fileId', value: id }, variant }, { signal })
        .then(
          () => 'made',
          (error: unknown) => (signal.aborted ? 'stopped' : problemOf(error as ConnectError)),
        );
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
  };
  console.log(
    '| health | checks | p50 ms | p99 ms | max ms | service MiB | variants |\n| --- | --- | --- | --- | --- | --- | --- |',
  );
  for (const [name, attackers] of [
    ['alone', 0],
    [`with ${callers} callers of hostile images`, callers],
  ] as const) {
    outcomes = new Map();
    const end = new AbortController();
    const attacks = Array.from({ length: attackers }, () => attack(end.signal).catch(() => undefined));
    const times: number[] = [];
    let memory = 0;
    const until = performance.now() + seconds * 1_000;
    while (performance.now() < until) {
      const started = performance.now();
      const said = await healthOf(service.url);
      times.push(performance.now() - started);
      if (said !== 'SERVING') throw new Error(`health is ${said}`);
      memory = Math.max(memory, residentMiB(service.pid!));
      await sleep(INTERVAL_MS);
    }
    end.abort();
    await Promise.all(attacks);
    const sorted = times.toSorted((a, b) => a - b);
    const at = (share: number) =>
      sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!.toFixed(1);
    const ended = [...outcomes].map(([outcome, count]) => `${count} ${outcome}`).join(', ');
    console.log(
      `| ${name} | ${times.length} | ${at(0.5)} | ${at(0.99)} | ${at(1)} | ${memory.toFixed(0)} | ${ended} |`,
    );
  }
}

/** Why there is no variant. */
function problemOf(error: ConnectError): string {
  const info = error.findDetails(ErrorInfoSchema)[0];
  return info?.metadata['problem'] ?? info?.reason ?? Code[error.code];
}

function residentMiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1_024;
}
