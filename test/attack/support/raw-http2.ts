import { connect, type Socket } from 'node:net';

/** Types of HTTP/2 frames (RFC 9113, section 6). */
export const FRAME = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goAway: 7, window: 8, more: 9 };

/** Flags of HTTP/2 frames. */
export const FLAG = { endStream: 1, ack: 1, endHeaders: 4 };

/** A received frame. */
export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

/** An HTTP/2 connection that sends what a correct client never would. */
export class RawHttp2 {
  readonly socket: Socket;
  /** Whether settings are acknowledged and PINGs answered, as every client does. */
  answers = true;
  readonly #frames: Frame[] = [];
  #rest: Buffer = Buffer.alloc(0);

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1');
    this.socket.on('error', () => undefined);
    this.socket.on('data', (data) => this.#take(data));
    this.socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  }

  /** Connects and sends settings, as any client begins. */
  static open(port: number, settings: readonly (readonly [number, number])[] = []): RawHttp2 {
    const raw = new RawHttp2(port);
    raw.send(frame(FRAME.settings, 0, 0, settingsPayload(settings)));
    return raw;
  }

  /** The frames received so far. */
  get frames(): readonly Frame[] {
    return this.#frames;
  }

  /** True once the service has ended the connection. */
  get ended(): boolean {
    return this.socket.destroyed || this.socket.readableEnded;
  }

  /** Sends bytes; false if the service accepts no more at the moment. */
  send(...bytes: readonly Buffer[]): boolean {
    return !this.socket.destroyed && this.socket.write(Buffer.concat(bytes));
  }

  /** Waits until the bytes were accepted, or the connection is closed. */
  async drained(): Promise<void> {
    if (this.ended || !this.socket.writableNeedDrain) return;
    await new Promise<void>((resolve) => {
      this.socket.once('drain', resolve).once('close', () => resolve());
    });
  }

  /** Ends the connection at once. */
  close(): void {
    this.socket.destroy();
  }

  #take(data: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, data]);
    while (this.#rest.length >= 9) {
      const length = this.#rest.readUIntBE(0, 3);
      if (this.#rest.length < 9 + length) return;
      const [type, flags] = [this.#rest[3]!, this.#rest[4]!];
      const streamId = this.#rest.readUInt32BE(5) & 0x7fffffff;
      this.#frames.push({ type, flags, streamId, payload: this.#rest.subarray(9, 9 + length) });
      this.#rest = this.#rest.subarray(9 + length);
      if (!this.answers) continue;
      if (type === FRAME.settings && !(flags & FLAG.ack)) this.send(frame(FRAME.settings, FLAG.ack, 0));
      if (type === FRAME.ping && !(flags & FLAG.ack)) {
        this.send(frame(FRAME.ping, FLAG.ack, 0, this.#frames.at(-1)!.payload));
      }
    }
  }
}

/** The bytes of a frame. */
export function frame(
  type: number,
  flags: number,
  streamId: number,
  payload: Buffer = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

/** The payload of a SETTINGS frame. */
export function settingsPayload(settings: readonly (readonly [number, number])[]): Buffer {
  const payload = Buffer.alloc(settings.length * 6);
  settings.forEach(([id, value], index) => {
    payload.writeUInt16BE(id, index * 6);
    payload.writeUInt32BE(value, index * 6 + 2);
  });
  return payload;
}

/** A header block: every field a literal that is not indexed (RFC 7541, section 6.2.2), without Huffman code. */
export function headerBlock(headers: readonly (readonly [string, string])[]): Buffer {
  const text = (value: string) => {
    const bytes = Buffer.from(value, 'latin1');
    return Buffer.concat([integer(bytes.length, 127), bytes]);
  };
  return Buffer.concat(headers.flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]));
}

/** The header block of a gRPC call, or of Connect if `contentType` says so. */
export function callHeaders(
  path: string,
  contentType = 'application/grpc',
  more: readonly (readonly [string, string])[] = [],
): Buffer {
  return headerBlock([
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', path],
    [':authority', 'localhost'],
    ['content-type', contentType],
    ['te', 'trailers'],
    ...more,
  ]);
}

/** A message with the five-byte prefix of gRPC and Connect streams. */
export function enveloped(message: Uint8Array, flags = 0): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flags;
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** An HPACK integer with this prefix. */
function integer(value: number, prefix: number): Buffer {
  if (value < prefix) return Buffer.from([value]);
  const bytes = [prefix];
  let rest = value - prefix;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.from([...bytes, rest]);
}
