/**
 * Runs the attacks of strangers against a service that asks for tokens, and prints what they cost: its greatest memory, and the time
 * that another caller waits for GetFile, with and without the attack, by turns. `node bench/attacks.ts [ROUNDS]`
 */
import { UploadTransport } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { fork, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import { connect, type Socket } from 'node:net';
import { constants, setPriority } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { callHeaders, enveloped, FLAG, frame, FRAME } from '../test/attack/support/raw-http2.ts';
import { clientOf, randomContent, upload, type AssetClient } from '../test/e2e/support/calls.ts';
import { AUDIENCE, startIssuer } from '../test/support/issuer.ts';
import { startService, type Service } from '../test/support/service.ts';

const MEBIBYTE = 2 ** 20;
const PATH = '/asset.v1.AssetService';
const PHASE_MS = 5_000;

/** Each goes on until its process is ended. */
const ATTACKS: Readonly<Record<string, (url: string, partUrl: string) => Promise<void>>> = {
  'messages that are never ended': async (url) => {
    for (let connection = 0; connection < 2; connection++) void keepStreams(url, 300, beginMessage);
  },
  'messages that inflate to 2,000,000 elements': async (url) => {
    const body = gzipSync(Buffer.alloc(4 * MEBIBYTE, Buffer.from('0a00', 'hex')));
    const headers = { 'content-type': 'application/proto', 'content-encoding': 'gzip' };
    await Promise.all(
      Array.from({ length: 20 }, () =>
        forever(() => post(new URL(`${url}${PATH}/BatchGetFiles`), headers, body)),
      ),
    );
  },
  'a connection that acknowledges no SETTINGS': (url) => forever(() => floodUnacknowledged(new URL(url))),
  'one part URL on 100 streams': async (_url, partUrl) => keepStreams(partUrl, 100, beginPart),
};

if (process.argv[2] === 'attack') {
  const [, , , name = '', url = '', partUrl = ''] = process.argv;
  process.on('uncaughtException', () => undefined);
  await ATTACKS[name]!(url, partUrl);
  setInterval(() => undefined, 1_000);
} else {
  await main(Number(process.argv[2] ?? 2));
}

async function main(rounds: number): Promise<void> {
  const issuer = await startIssuer();
  const settings = { ASSET_AUTH: 'oidc', ASSET_OIDC_ISSUER: issuer.url, ASSET_OIDC_AUDIENCE: AUDIENCE };
  console.log(
    '| attack | RSS before | RSS peak | p50 without / with | p99 without / with | calls without / with |',
  );
  console.log('| --- | --- | --- | --- | --- | --- |');
  for (const name of Object.keys(ATTACKS)) {
    // A service of its own for each: memory that was grown is not given back.
    const service = await startService(settings);
    try {
      const headers = { authorization: `Bearer ${await issuer.token({ scope: 'asset:admin' })}` };
      const client = clientOf(service.url);
      const { id } = await upload(client, randomContent(1_000), { headers });
      const call = () => client.getFile({ fileId: id }, { headers });
      await timesOf(call, PHASE_MS);
      const before = rssMiB(service);
      const [quiet, loud]: [number[], number[]] = [[], []];
      let peak = before;
      for (let round = 0; round < rounds; round++) {
        quiet.push(...(await timesOf(call, PHASE_MS)));
        const attacker = start(name, service, await partUrlOf(client, headers));
        const timer = setInterval(() => (peak = Math.max(peak, rssMiB(service))), 20);
        try {
          await sleep(500);
          loud.push(...(await timesOf(call, PHASE_MS)));
        } finally {
          clearInterval(timer);
          attacker.kill('SIGKILL');
          await sleep(500);
        }
      }
      const both = (share: number) =>
        `${percentile(quiet, share).toFixed(1)} / ${percentile(loud, share).toFixed(1)} ms`;
      const memory = `${before.toFixed(0)} MiB | ${peak.toFixed(0)} MiB`;
      console.log(
        `| ${name} | ${memory} | ${both(0.5)} | ${both(0.99)} | ${quiet.length} / ${loud.length} |`,
      );
    } finally {
      await service.dispose();
    }
  }
  await issuer.dispose();
  process.exit(0);
}

function start(name: string, service: Service, partUrl: string): ChildProcess {
  const child = fork(import.meta.filename, ['attack', name, service.url, partUrl], { stdio: 'ignore' });
  // A stranger works on a machine of its own: what its work costs this one is no part of the harm.
  if (child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_LOW);
  return child;
}

async function partUrlOf(client: AssetClient, headers: Record<string, string>): Promise<string> {
  const spec = {
    uploadSpec: { file: {}, sizeBytes: BigInt(8 * MEBIBYTE) },
    transport: UploadTransport.DIRECT,
  };
  const { uploadId } = await client.startUpload(spec, { headers });
  const { parts } = await client.signUploadParts({ uploadId, partNumbers: [1] }, { headers });
  return parts[0]!.url;
}

/** Times of calls one after the other, in milliseconds. */
async function timesOf(call: () => Promise<unknown>, durationMs: number): Promise<number[]> {
  const times: number[] = [];
  const end = performance.now() + durationMs;
  for (let started = performance.now(); started < end; started = performance.now()) {
    await call();
    times.push(performance.now() - started);
  }
  return times;
}

function percentile(times: readonly number[], share: number): number {
  const sorted = times.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

function rssMiB(service: Service): number {
  const status = readFileSync(`/proc/${service.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) / 1024;
}

async function forever(work: () => Promise<unknown>): Promise<never> {
  for (;;) await work().catch(() => sleep(10));
}

/** Connects from an address of its own: that of the caller must not be the one that is shut out. */
function dial({ hostname: host, port }: URL): Socket {
  return connect({ host, port: Number(port), localAddress: '127.0.0.2' });
}

function post(url: URL, headers: Record<string, string>, body: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const sent = http.request(url, { method: 'POST', headers, localAddress: '127.0.0.2' }, (response) => {
      response.resume().once('close', resolve);
    });
    sent.once('error', reject).end(body);
  });
}

type Begin = (session: http2.ClientHttp2Session, url: URL, at: number) => http2.ClientHttp2Stream;

/** Keeps so many streams of one connection open, whatever becomes of them. */
async function keepStreams(url: string, count: number, begin: Begin): Promise<never> {
  const target = new URL(url);
  return forever(async () => {
    const session = http2.connect(target.origin, {
      maxSessionMemory: 4_000,
      createConnection: () => dial(target),
    });
    session.on('error', () => undefined);
    const open = (at: number) => {
      if (session.destroyed) return;
      const stream = begin(session, target, at);
      stream.on('error', () => undefined).resume();
      stream.once('close', () => setTimeout(() => open(at), 10));
    };
    for (let at = 0; at < count; at++) open(at);
    await new Promise((resolve) => session.once('close', resolve));
  });
}

const HALF = Buffer.alloc(MEBIBYTE);
HALF.writeUInt32BE(4 * MEBIBYTE - 1, 1);

function beginMessage(session: http2.ClientHttp2Session): http2.ClientHttp2Stream {
  const type = { 'content-type': 'application/grpc', te: 'trailers' };
  const stream = session.request({ ':method': 'POST', ':path': `${PATH}/GetFile`, ...type });
  stream.write(HALF);
  return stream;
}

function beginPart(session: http2.ClientHttp2Session, url: URL, at: number): http2.ClientHttp2Stream {
  const stream = session.request({ ':method': 'PUT', ':path': url.pathname + url.search });
  if (at > 0) return stream.end(Buffer.alloc(8 * MEBIBYTE));
  const timer = setInterval(() => stream.write('x'), 100);
  return stream.once('close', () => clearInterval(timer));
}

/** 60 uploads on one connection, each with as much as a first window holds. */
function floodUnacknowledged(url: URL): Promise<void> {
  return new Promise((resolve) => {
    const socket = dial(url);
    socket.on('error', () => undefined).resume();
    socket.once('close', () => resolve());
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    socket.write(frame(FRAME.settings, 0, 0));
    const data = frame(FRAME.data, 0, 1, Buffer.alloc(16_384));
    for (let at = 0; at < 60; at++) {
      const stream = 2 * at + 1;
      socket.write(frame(FRAME.headers, FLAG.endHeaders, stream, callHeaders(`${PATH}/Upload`)));
      socket.write(frame(FRAME.data, 0, stream, enveloped(Buffer.alloc(100))));
    }
    const send = () => {
      for (let at = 0; at < 60 && !socket.destroyed; at++) {
        data.writeUInt32BE(2 * at + 1, 5);
        if (!socket.write(Buffer.from(data))) return void socket.once('drain', send);
      }
      setImmediate(send);
    };
    send();
    setTimeout(() => socket.destroy(), 2_000);
  });
}
