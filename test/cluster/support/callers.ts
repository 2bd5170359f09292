import { createWorkerClient, type AssetClientError } from '@asset-service/worker';
import { randomInt, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { randomContent, sha256 } from '../../e2e/support/calls.ts';
import { eventually } from '../../support/eventually.ts';
import { Ledger, type KnownFile } from '../../fault/support/ledger.ts';
import { startLoad } from '../../fault/support/load.ts';
import type { Deployment } from '../../fault/support/world.ts';

/** A ledger that also knows when uploads were acknowledged. */
export class TimedLedger extends Ledger {
  readonly #times: number[] = [];

  override acknowledge(file: Parameters<Ledger['acknowledge']>[0]): KnownFile {
    this.#times.push(Date.now());
    return super.acknowledge(file);
  }

  override breach(...[what, line]: Parameters<Ledger['breach']>): void {
    // At once, because the callers go on for minutes.
    process.stdout.write(`  ${new Date().toISOString()} broken: ${line}\n`);
    super.breach(what, line);
  }

  /** The longest time without an acknowledged upload since `from`, in milliseconds. */
  longestPause(from: number): number {
    const times = [from, ...this.#times.filter((time) => time > from), Date.now()];
    return Math.max(...times.slice(1).map((time, index) => time - times[index]!));
  }
}

/** Callers of a deployment: some that judge every error, and some with the published client, which retries. */
export interface Callers {
  /** What the published clients were told before each retry, such as `UNAVAILABLE CATALOG_UNAVAILABLE`. */
  readonly retried: readonly string[];
  /** Waits until each published client has uploaded a file that it began after this call. */
  progress(): Promise<void>;
  finish(): Promise<void>;
}

/** Time in which a caller gets its file stored, with all retries, in milliseconds. */
const PATIENCE_MS = 120_000;

/** Largest file, in bytes: sent in one call and in several. */
const LARGEST = 300_000;

/** Starts callers, half of them with the published client. */
export function startCallers(deployment: Deployment, ledger: Ledger, count: number): Callers {
  const load = startLoad(deployment, ledger, Math.ceil(count / 2));
  const retried: string[] = [];
  const finishing = new AbortController();
  const done = Array.from({ length: Math.floor(count / 2) }, () => ({ begun: 0 }));
  const onRetry = ({ code, reason, retryDelayMs }: AssetClientError) => {
    retried.push(`${code} ${reason ?? 'without a reason'}`);
    // A broken connection to the service has no reason. What the service says is unavailable tells when to retry.
    if (code === 'UNAVAILABLE' && reason !== undefined && retryDelayMs === undefined) {
      ledger.breach('other', `${reason} came without RetryInfo`);
    }
    if (!['UNAVAILABLE', 'ABORTED', 'RESOURCE_EXHAUSTED'].includes(code)) {
      ledger.breach('other', `a published client was told ${code} ${reason}`);
    }
  };
  const uploaders = done.map(async (progress, index) => {
    const { service } = deployment.replicas[index % deployment.replicas.length]!;
    await using client = createWorkerClient({ baseUrl: service.url, retry: { onRetry } });
    while (!finishing.signal.aborted) {
      const content = randomContent(randomInt(1, LARGEST));
      const requestId = randomUUID();
      const begun = Date.now();
      try {
        const file = await client.uploadFile(content, {
          ...{ name: requestId, requestId, timeoutMs: PATIENCE_MS },
          singleCallBytes: randomInt(2) * LARGEST,
        });
        const hash = Buffer.from(sha256(content)).toString('hex');
        ledger.acknowledge({ id: file.id, requestId, sizeBytes: content.length, sha256: hash, usage: '' });
        progress.begun = begun;
      } catch (error) {
        ledger.breach('other', `a published client gave up: ${String(error)}`);
      }
      await sleep(randomInt(20, 120));
    }
  });
  return {
    retried,
    async progress() {
      const from = Date.now();
      await eventually(() => {
        const waiting = done.filter(({ begun }) => begun < from).length;
        if (waiting > 0) throw new Error(`${waiting} clients have stored nothing new`);
      }, PATIENCE_MS);
    },
    async finish() {
      finishing.abort();
      await Promise.all([load.finish(), ...uploaders]);
    },
  };
}

/** Readers of {@link readAll}. */
const READERS = 8;

/** Reads every file that is acknowledged by now through the service, and compares its bytes with those that were sent. */
export async function readAll({ replicas }: Deployment, ledger: Ledger): Promise<void> {
  await using client = createWorkerClient({ baseUrl: replicas[0]!.service.url });
  const files = [...ledger.files.values()].filter(({ usage }) => usage === '');
  const read = async (file: KnownFile) => {
    if (file.deletion !== 'none') return;
    try {
      const { bytes } = await client.downloadBytes(file.id, { timeoutMs: PATIENCE_MS });
      const hash = Buffer.from(sha256(bytes)).toString('hex');
      if (hash !== file.sha256) ledger.breach('halfVisible', `${file.id} has other bytes than were sent`);
    } catch (error) {
      // A caller may have begun to delete it meanwhile, and brought it back since.
      if ((error as AssetClientError).reason === 'FILE_DELETED') return;
      ledger.breach('lost', `${file.id} cannot be read: ${String(error)}`);
    }
  };
  const lane = async () => {
    for (let file = files.pop(); file; file = files.pop()) await read(file);
  };
  await Promise.all(Array.from({ length: READERS }, lane));
}
