import { fromBinary } from '@bufbuild/protobuf';
import { ErrorInfoSchema } from '@asset-service/contract/google/rpc/error_details_pb.js';
import { request } from 'node:http';
import { connect } from 'node:net';

const PATH = '/asset.v1.AssetService/ListFiles';

/**
 * Calls ListFiles over Connect with headers that no client library would send, such as one header twice.
 *
 * @returns `OK`, or the reason of the error
 */
export async function rawCall(
  port: number,
  version: 'HTTP/1.1' | 'HTTP/2',
  headers: readonly (readonly [string, string])[],
): Promise<string> {
  const body = await (version === 'HTTP/2' ? overHttp2 : overHttp1)(port, headers);
  const { details } = JSON.parse(body) as { details?: readonly { value: string }[] };
  if (details === undefined) return 'OK';
  return fromBinary(ErrorInfoSchema, Buffer.from(details[0]?.value ?? '', 'base64')).reason;
}

function overHttp1(port: number, headers: readonly (readonly [string, string])[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const lines = ['host', 'x', 'content-type', 'application/json', ...headers.flat()];
    const sent = request(
      { host: '127.0.0.1', port, method: 'POST', path: PATH, headers: lines },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (piece: string) => (text += piece));
        response.on('end', () => resolve(text));
      },
    );
    sent.on('error', reject);
    sent.end('{}');
  });
}

/** Writes frames by hand, because Node.js does not send a single-value header twice. */
function overHttp2(port: number, headers: readonly (readonly [string, string])[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', reject);
    const block = [
      [':method', 'POST'],
      [':scheme', 'http'],
      [':path', PATH],
      [':authority', 'x'],
      ['content-type', 'application/json'],
      ...headers,
    ].flatMap(([name = '', value = '']) => [Buffer.from([0]), literal(name), literal(value)]);
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    socket.write(frame(FRAME.settings, 0, 0));
    socket.write(frame(FRAME.headers, END_HEADERS, 1, Buffer.concat(block)));
    socket.write(frame(FRAME.data, END_STREAM, 1, Buffer.from('{}')));
    let received = Buffer.alloc(0);
    let text = '';
    socket.on('data', (data) => {
      received = Buffer.concat([received, data]);
      while (received.length >= 9 && received.length >= 9 + received.readUIntBE(0, 3)) {
        const length = received.readUIntBE(0, 3);
        const [type, flags] = received.subarray(3, 5);
        if (type === FRAME.data) text += received.toString('utf8', 9, 9 + length);
        const isLast = (type === FRAME.data || type === FRAME.headers) && ((flags ?? 0) & END_STREAM) !== 0;
        received = received.subarray(9 + length);
        if (isLast) {
          socket.destroy();
          resolve(text);
        }
      }
    });
    socket.on('close', () => reject(new Error('the connection ended without an answer')));
  });
}

const FRAME = { data: 0, headers: 1, settings: 4 };
const END_STREAM = 1;
const END_HEADERS = 4;

function frame(type: number, flags: number, stream: number, payload = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.set([type, flags], 3);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A string of HPACK (RFC 7541, section 5.2), without Huffman coding. */
function literal(text: string): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const length = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest >>= 7) length.push((rest & 127) | 128);
  return Buffer.concat([Buffer.from([...length, rest]), bytes]);
}
