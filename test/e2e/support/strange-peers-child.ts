/**
 * Makes calls of both clients to peers that are not the service, one after the other, and closes the client while one is under way.
 * Prints a JSON line for each peer. Takes the peers as JSON, and the path of a certificate to trust.
 */
import { createBffClient } from '@asset-service/bff';
import { createWorkerClient } from '@asset-service/worker';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StrangePeer } from './strange-peers.ts';

const [peers = '[]', ca = ''] = process.argv.slice(2);
const KINDS = { worker: createWorkerClient, bff: createBffClient };

async function meet(
  { name, url }: StrangePeer,
  kind: keyof typeof KINDS,
  transport: 'grpc' | 'connect',
): Promise<void> {
  const client = KINDS[kind]({
    ...{ baseUrl: url, transport, retry: { retries: 1, baseDelayMs: 1 } },
    ...{ timeouts: { callMs: 300, transferMs: 300 }, tls: { ca: readFileSync(ca) } },
  });
  const failures: unknown[] = [];
  const fails = (call: Promise<unknown>) =>
    call.then(
      () => failures.push('it did not fail'),
      (error: { name?: string; code?: string; reason?: string; message?: string }) =>
        failures.push([error.name, error.code, error.reason, error.message]),
    );
  const read = async () => (await client.openRead('abc')).stream.resume();
  await fails(client.getFile('abc'));
  await fails(client.getFile('abc'));
  await fails(client.uploadFile(Buffer.from('x'), { name: 'x' }));
  await fails(read());
  await Promise.all([fails(client.getFile('abc')), fails(client.listFiles().next())]);
  const last = fails(client.getFile('abc'));
  client.close();
  await last;
  // What a session leaves behind shows a little later.
  await sleep(5);
  console.log(JSON.stringify({ name, kind, transport, failures }));
}

await Promise.all(
  (JSON.parse(peers) as StrangePeer[]).flatMap((peer) =>
    (['grpc', 'connect'] as const).flatMap((transport) =>
      (Object.keys(KINDS) as (keyof typeof KINDS)[]).map((kind) => meet(peer, kind, transport)),
    ),
  ),
);
