import { create, ScalarType, toBinary, type DescMessage } from '@bufbuild/protobuf';
import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import http2 from 'node:http2';
import { connect } from 'node:net';
import { healthOf, startService, type Service } from '../support/service.ts';
import { clientOf, download, randomContent, upload } from '../e2e/support/calls.ts';
import { residentMiB } from './support/others.ts';
import { enveloped } from './support/raw-http2.ts';

/** Seed of the run; set it to reproduce a failure. */
const seed = Number(process.env['ASSET_TEST_SEED'] ?? Date.now() % 2 ** 31);

/** Internal details that a caller may never see. */
const INTERNAL = /node_modules|\.[jt]s:\d|\n\s+at |\/tmp\/|\/home\/|file:\/\/|ECONN|ENOENT|sqlite/i;

/**
 * Messages of the framework for unreadable bytes over gRPC-Web and Connect, with gRPC's code INTERNAL, before the
 * service sees the call.
 */
const UNREADABLE = /parse (binary|json)|compressed envelope|protocol error|premature|promised/;

/** Maximum response time in milliseconds; these calls do no work. */
const PATIENCE_MS = 20_000;

const TYPES = [
  ...['application/grpc', 'application/grpc+proto', 'application/grpc+json'],
  ...['application/grpc-web+proto', 'application/grpc-web', 'application/grpc-web-text'],
  ...['application/proto', 'application/json', 'application/connect+proto', 'application/connect+json'],
];

const methods = Object.values(AssetService.method);
const WATCH = `/${AssetService.typeName}/${AssetService.method.watchFiles.name}`;

const SCALARS = new Map<ScalarType, unknown>([
  [ScalarType.STRING, 'abcdefghijklmno'],
  [ScalarType.BOOL, true],
  [ScalarType.BYTES, new Uint8Array(9)],
]);

function sampleOf(schema: DescMessage): Uint8Array {
  const fields: Record<string, unknown> = {};
  for (const field of schema.fields) {
    if (field.fieldKind === 'scalar' && field.oneof === undefined) {
      const value = SCALARS.get(field.scalar);
      if (value !== undefined) fields[field.localName] = value;
    } else if (field.fieldKind === 'message' && field.oneof === undefined) {
      fields[field.localName] = create(field.message);
    }
  }
  return toBinary(schema, create(schema, fields));
}

/** A valid message of every RPC, to be damaged. */
const SAMPLES = new Map<string, Uint8Array>(methods.map((method) => [method.name, sampleOf(method.input)]));

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: Readonly<Record<string, unknown>>;
}

/** Sends a request over HTTP/2 and waits for its end in any form. */
function ask(
  session: http2.ClientHttp2Session,
  headers: http2.OutgoingHttpHeaders,
  body: Uint8Array,
): Promise<Answer | 'reset'> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ':method': 'POST', ...headers });
    const timer = setTimeout(() => reject(new Error(`no answer to ${JSON.stringify(headers)}`)), PATIENCE_MS);
    const got: Record<string, unknown> = {};
    let text = '';
    stream.on('response', (answer) => Object.assign(got, answer));
    stream.on('trailers', (trailers) => Object.assign(got, trailers));
    stream.on('data', (data: Buffer) => {
      text += data.toString('latin1');
      // A watch that began goes on until its caller ends it.
      if (headers[':path'] === WATCH) stream.close();
    });
    stream.on('error', () => undefined);
    stream.on('close', () => {
      clearTimeout(timer);
      const status = Number(got[':status'] ?? 0);
      resolve(status === 0 ? 'reset' : { status, text, headers: got });
    });
    stream.end(body);
  });
}

/** Checks a response: no fault of the service, no internal details. */
function judge(answer: Answer | 'reset'): void {
  if (answer === 'reset') return;
  const { status, text, headers } = answer;
  const all = `${JSON.stringify(headers)}\n${text}`;
  expect(all).not.toMatch(INTERNAL);
  const unreadable = UNREADABLE.test(all.replaceAll('%20', ' '));
  const fault =
    /"code":"(internal|unknown)"/.test(text) ||
    /grpc-status: ?(2|13)\b/.test(text) ||
    ['2', '13'].includes(String(headers['grpc-status'])) ||
    status === 500;
  // An error of the service or its framework always has a reason.
  const hasReason = /details/.test(text) || headers['grpc-status-details-bin'] !== undefined;
  expect({ fault: fault && !hasReason && !unreadable, all: fault ? all : '' }).toEqual({
    fault: false,
    all: fault ? all : '',
  });
  expect(all).not.toContain('ERROR_REASON_INTERNAL');
}

const damaged = (bytes: Uint8Array) =>
  fc
    .array(fc.tuple(fc.constantFrom('flip', 'cut', 'insert', 'repeat'), fc.nat(), fc.nat(255)), {
      maxLength: 6,
    })
    .map((changes) => {
      let result = Buffer.from(bytes);
      for (const [kind, place, value] of changes) {
        const at = result.length === 0 ? 0 : place % result.length;
        if (kind === 'flip' && result.length > 0) result[at] = value;
        if (kind === 'cut') result = result.subarray(0, at);
        if (kind === 'insert') {
          result = Buffer.concat([result.subarray(0, at), Buffer.from([value]), result.subarray(at)]);
        }
        if (kind === 'repeat') result = Buffer.concat([result, result.subarray(at)]);
      }
      return result;
    });

const bodyOf = (method: string) =>
  fc
    .tuple(
      fc.oneof(
        fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
        damaged(SAMPLES.get(method)!),
        fc.json().map((text) => Buffer.from(text)),
      ),
      fc.constantFrom('bare', 'enveloped', 'enveloped twice', 'wrong length', 'wrong flags'),
      fc.nat(2 ** 32 - 1),
    )
    .map(([message, form, number]) => {
      if (form === 'bare') return message;
      const envelope = enveloped(message, form === 'wrong flags' ? number % 256 : 0);
      if (form === 'wrong length') envelope.writeUInt32BE(number, 1);
      return form === 'enveloped twice' ? Buffer.concat([envelope, envelope]) : envelope;
    });

describe(`fuzzed bytes (ASSET_TEST_SEED=${seed})`, () => {
  let service: Service;
  let session: http2.ClientHttp2Session;
  let pid: number | undefined;

  beforeAll(async () => {
    service = await startService({
      ASSET_LIMIT_READS: '0',
      ASSET_LIMIT_WRITES: '0',
      ASSET_LOG_LEVEL: 'error',
    });
    pid = service.pid;
    session = http2.connect(service.url);
    session.on('error', () => undefined);
  });

  afterAll(async () => {
    session?.destroy();
    await service?.dispose();
  });

  async function expectWell(): Promise<void> {
    expect(await healthOf(service.url)).toBe('SERVING');
    const client = clientOf(service.url);
    const content = randomContent(1_000);
    expect((await download(client, (await upload(client, content)).id)).content.equals(content)).toBe(true);
    expect(service.pid).toBe(pid);
    expect(residentMiB(service)).toBeLessThan(700);
  }

  it('as messages of every RPC and protocol get a proper error', async () => {
    const request = fc
      .constantFrom(...methods.map(({ name }) => name))
      .chain((name) =>
        fc.record({ name: fc.constant(name), type: fc.constantFrom(...TYPES), body: bodyOf(name) }),
      );
    await fc.assert(
      fc.asyncProperty(request, async ({ name, type, body }) => {
        const path = `/${AssetService.typeName}/${name}`;
        judge(await ask(session, { ':path': path, 'content-type': type, te: 'trailers' }, body));
      }),
      { numRuns: 600, seed, endOnFailure: true },
    );
    await expectWell();
  });

  it('as paths, content types and headers get a proper error', async () => {
    const word = fc.string({ unit: 'grapheme-ascii', maxLength: 40 }).map((text) => text.trim());
    const request = fc.record({
      path: fc.oneof(
        fc.webPath().map((path) => path || '/'),
        fc.constantFrom(...methods).map(({ name }) => `/${AssetService.typeName}/${name}`),
        fc.webPath().map((path) => `/${AssetService.typeName}${path}`),
        fc.webPath().map((path) => `/blobs${path}`),
      ),
      method: fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'HEAD'),
      type: fc.oneof(
        word,
        fc.constantFrom(...TYPES).map((type) => `${type};x=y`),
      ),
      encoding: fc.oneof(word, fc.constantFrom('gzip', 'identity', 'br')),
      timeout: fc.oneof(word, fc.constantFrom('1n', '99999999H', '-1S')),
      body: fc.uint8Array({ maxLength: 100 }),
    });
    await fc.assert(
      fc.asyncProperty(request, async ({ path, method, type, encoding, timeout, body }) => {
        const headers = {
          ...{ ':path': path, ':method': method, 'content-type': type, 'grpc-encoding': encoding },
          ...{ 'grpc-timeout': timeout, 'connect-timeout-ms': timeout, 'content-encoding': encoding },
        };
        const hasBody = method === 'POST' || method === 'PUT';
        judge(await ask(session, headers, hasBody ? body : new Uint8Array()));
      }),
      { numRuns: 300, seed, endOnFailure: true },
    );
    await expectWell();
  });

  it('on a bare socket end in an answer or a closed connection', async () => {
    const bytes = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 400 }),
      fc
        .uint8Array({ maxLength: 200 })
        .map((rest) => Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), rest])),
      fc
        .uint8Array({ maxLength: 200 })
        .map((rest) =>
          Buffer.concat([
            Buffer.from(`POST /${AssetService.typeName}/GetFile HTTP/1.1\r\nhost: localhost\r\n`),
            rest,
          ]),
        ),
    );
    await fc.assert(
      fc.asyncProperty(bytes, async (sent) => {
        const said = await new Promise<string>((resolve) => {
          let got = '';
          const socket = connect(service.port, '127.0.0.1', () => socket.end(sent));
          socket.on('data', (data) => (got += data.toString('latin1')));
          socket.on('error', () => undefined);
          socket.on('close', () => resolve(got));
          // Incomplete input, such as half a preface, needs no answer.
          setTimeout(() => socket.destroy(), 200).unref();
        });
        expect(said).not.toMatch(INTERNAL);
      }),
      { numRuns: 60, seed, endOnFailure: true },
    );
    await expectWell();
  });
});
