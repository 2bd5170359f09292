import { connect, type Socket } from 'node:net';
import { AssetError } from '../errors/asset-error.ts';
import { fileTooLarge } from '../errors/uploads.ts';
import { connectionFault, directoryFault, SetupFault } from '../errors/setup-fault.ts';
import type { MalwareScan, MalwareScanner } from './scanner.ts';

/** Address of clamd: a Unix socket or a port. */
export type ClamdAddress = { readonly path: string } | { readonly host: string; readonly port: number };

const CONNECT_TIMEOUT_MS = 5_000;

/** Maximum length of a response, which is one line. */
const MAX_ANSWER_BYTES = 4096;

/**
 * ClamAV's clamd by its INSTREAM command: chunks with a length prefix, a chunk of length 0 at the end, and one line
 * as response. Each scan has its own connection.
 */
export class ClamdScanner implements MalwareScanner {
  readonly #address: ClamdAddress;
  readonly #timeoutMs: number;

  /** @param timeoutMs - how long clamd may accept no bytes, or take to respond */
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
      // If clamd refuses more bytes it says why before it closes.
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

  /** The meaning of a response; undefined if it is no verdict. */
  #read(answer: string): { readonly signature: string | undefined } | undefined {
    if (answer === 'stream: OK') return { signature: undefined };
    const found = /^stream: ([!-~]{1,256}) FOUND$/.exec(answer)?.[1];
    if (found !== undefined) return { signature: found };
    if (!/size limit exceeded/i.test(answer)) return undefined;
    const cause = new Error(`clamd answered ${JSON.stringify(answer)}: raise its StreamMaxLength`);
    throw fileTooLarge(this.#sentBytes, 'that is scanned for malware', { cause });
  }
}

/** One connection for one command and its one-line response. */
class ClamdConnection {
  readonly #socket: Socket;
  readonly #timeoutMs: number;
  readonly #signal: AbortSignal;
  readonly #opened: Promise<void>;
  /** Resolves with the response; rejects if there will be none. */
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
    // Handled where it is awaited, if anywhere.
    this.#opened.catch(() => undefined);
    this.#answered.catch(() => undefined);
  }

  /** The received part of the response. */
  get said(): string {
    return this.#said.split('\0', 1)[0]!;
  }

  /** Sends bytes; resolves when the operating system has accepted them. */
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

  /** The response line. */
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

/** The fault of a Unix socket that does not exist or that this user may not open. */
function socketFault(cause: unknown): SetupFault | undefined {
  const fault = directoryFault(cause);
  return fault && new SetupFault('address', fault.message, cause);
}
