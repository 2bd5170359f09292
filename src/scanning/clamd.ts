import { connect, type Socket } from 'node:net';
import { AssetError } from '../errors.ts';
import { connectionFault, directoryFault, SetupFault } from '../setup-fault.ts';
import type { MalwareScan, MalwareScanner } from './scanner.ts';

/** Where a clamd listens: a Unix socket, or a port. */
export type ClamdAddress = { readonly path: string } | { readonly host: string; readonly port: number };

const CONNECT_TIMEOUT_MS = 5_000;

/** An answer is one line; nobody sends more than that. */
const MAX_ANSWER_BYTES = 4096;

/**
 * The clamd of ClamAV, by its INSTREAM command: each chunk behind its length, a chunk of no length as the end, and
 * one line as the answer. Each scan has a connection of its own.
 */
export class ClamdScanner implements MalwareScanner {
  readonly #address: ClamdAddress;
  readonly #timeoutMs: number;

  /** `timeoutMs` is how long clamd may take no bytes, or think about its answer. */
  constructor(address: ClamdAddress, timeoutMs: number) {
    this.#address = address;
    this.#timeoutMs = timeoutMs;
  }

  begin(signal: AbortSignal): MalwareScan {
    return new ClamdScan(this.#address, this.#timeoutMs, signal);
  }

  async check({ signal }: { readonly signal: AbortSignal }): Promise<void> {
    const connection = new ClamdConnection(this.#address, CONNECT_TIMEOUT_MS, signal);
    try {
      await connection.send([Buffer.from('zPING\0')]);
      const answer = await connection.answer();
      if (answer !== 'PONG') throw unavailable(new Error(`clamd answered ${JSON.stringify(answer)}`));
    } finally {
      connection.close();
    }
  }
}

class ClamdScan implements MalwareScan {
  readonly #connect: () => ClamdConnection;
  #connection: ClamdConnection | undefined;
  #sentBytes = 0;

  constructor(address: ClamdAddress, timeoutMs: number, signal: AbortSignal) {
    this.#connect = () => new ClamdConnection(address, timeoutMs, signal);
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (chunk.byteLength === 0) return;
    const length = Buffer.alloc(4);
    length.writeUInt32BE(chunk.byteLength);
    const pieces = [length, chunk];
    if (this.#connection === undefined) pieces.unshift(Buffer.from('zINSTREAM\0'));
    this.#connection ??= this.#connect();
    this.#sentBytes += chunk.byteLength;
    try {
      await this.#connection.send(pieces);
    } catch (error) {
      // A clamd that wants no more says why before it hangs up.
      this.#read(this.#connection.said);
      throw error;
    }
  }

  async finish(): Promise<string | undefined> {
    if (this.#connection === undefined) return undefined;
    await this.#connection.send([Buffer.alloc(4)]).catch(() => undefined);
    const answer = await this.#connection.answer();
    const verdict = this.#read(answer);
    if (verdict === undefined) throw unavailable(new Error(`clamd answered ${JSON.stringify(answer)}`));
    return verdict.signature;
  }

  close(): void {
    this.#connection?.close();
  }

  /** What an answer means; undefined for one that is no verdict. */
  #read(answer: string): { readonly signature: string | undefined } | undefined {
    if (answer === 'stream: OK') return { signature: undefined };
    const found = /^stream: ([!-~]{1,256}) FOUND$/.exec(answer)?.[1];
    if (found !== undefined) return { signature: found };
    if (!/size limit exceeded/i.test(answer)) return undefined;
    throw new AssetError(
      'FILE_TOO_LARGE',
      'the file is larger than the malware scanner takes: send a smaller one',
      {
        metadata: { max_size_bytes: String(this.#sentBytes) },
        cause: new Error(`clamd answered ${JSON.stringify(answer)}: raise its StreamMaxLength`),
      },
    );
  }
}

/** One connection, on which one command is sent and one line comes back. */
class ClamdConnection {
  readonly #socket: Socket;
  readonly #timeoutMs: number;
  readonly #signal: AbortSignal;
  readonly #opened: Promise<void>;
  /** Resolves when the answer is there, and rejects when there will be none. */
  readonly #answered: Promise<string>;
  #said = '';

  constructor(address: ClamdAddress, timeoutMs: number, signal: AbortSignal) {
    this.#timeoutMs = timeoutMs;
    this.#signal = signal;
    this.#socket = connect(address);
    this.#socket.setNoDelay(true);
    this.#socket.setEncoding('latin1');
    this.#opened = new Promise((resolve, reject) => {
      this.#socket.once('connect', resolve);
      this.#socket.once('error', reject);
      this.#socket.once('close', () => reject(new Error('clamd could not be reached')));
    });
    this.#answered = new Promise((resolve, reject) => {
      let failure: Error | undefined;
      this.#socket.on('data', (text: string) => {
        this.#said = (this.#said + text).slice(0, MAX_ANSWER_BYTES);
        if (this.#said.includes('\0')) resolve(this.said);
      });
      this.#socket.on('error', (error) => (failure = error));
      this.#socket.once('close', () => reject(failure ?? new Error('clamd hung up without an answer')));
    });
    // Whoever waits gets them; nobody may be waiting.
    this.#opened.catch(() => undefined);
    this.#answered.catch(() => undefined);
  }

  /** What has come of the answer so far. */
  get said(): string {
    return this.#said.split('\0', 1)[0]!;
  }

  /** Sends bytes; resolves when the system has taken them. */
  async send(pieces: readonly Uint8Array[]): Promise<void> {
    if (this.#socket.connecting) {
      await this.#wait(this.#opened, Math.min(CONNECT_TIMEOUT_MS, this.#timeoutMs));
    }
    const sent = new Promise<void>((resolve, reject) => {
      this.#socket.cork();
      pieces.forEach((piece, index) => {
        if (index < pieces.length - 1) this.#socket.write(piece);
        else this.#socket.write(piece, (error) => (error ? reject(error) : resolve()));
      });
      this.#socket.uncork();
    });
    await this.#wait(sent, this.#timeoutMs);
  }

  /** The one line that comes back. */
  answer(): Promise<string> {
    return this.#wait(this.#answered, this.#timeoutMs);
  }

  close(): void {
    this.#socket.destroy();
  }

  async #wait<T>(event: Promise<T>, timeoutMs: number): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    let onAbort: (() => void) | undefined;
    try {
      this.#signal.throwIfAborted();
      const ended = new Promise<never>((_resolve, reject) => {
        timer = setTimeout(() => reject(new Error(`clamd did nothing for ${timeoutMs} ms`)), timeoutMs);
        onAbort = () => reject(this.#signal.reason as Error);
        this.#signal.addEventListener('abort', onAbort, { once: true });
      });
      return await Promise.race([event, ended]);
    } catch (error) {
      this.close();
      if (this.#signal.aborted) throw this.#signal.reason;
      throw unavailable(error);
    } finally {
      clearTimeout(timer);
      if (onAbort) this.#signal.removeEventListener('abort', onAbort);
    }
  }
}

function unavailable(cause: unknown): AssetError {
  return new AssetError(
    'SCANNER_UNAVAILABLE',
    'the malware scanner cannot be used, so that nothing can be stored: try again',
    { cause: connectionFault(cause) ?? socketFault(cause) ?? cause, retryAfterMs: 5_000 },
  );
}

/** The fault of a Unix socket that is not there, or not for this user. */
function socketFault(cause: unknown): SetupFault | undefined {
  const fault = directoryFault(cause);
  return fault && new SetupFault('address', fault.message, cause);
}
