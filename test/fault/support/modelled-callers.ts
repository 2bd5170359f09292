import { setTimeout as sleep } from 'node:timers/promises';
import { Code, type ConnectError } from '@connectrpc/connect';
import { create, type JsonValue } from '@bufbuild/protobuf';
import { FileSchema, type File } from '@asset-service/contract/asset/v1/file_pb.js';
import { RetryInfoSchema } from '@asset-service/contract/google/rpc/error_details_pb.js';
import {
  crc32c,
  randomContent,
  sha256,
  upload,
  type AssetClient,
  type Bytes,
} from '../../e2e/support/calls.ts';
import { told, type Told } from './insist.ts';

/** Maximum time of one call, in milliseconds. */
const CALL_MS = 60_000;

/** How long a call is repeated, in milliseconds. */
const PATIENCE_MS = 180_000;

/** What a caller says of a file. */
export interface Described {
  readonly name: string;
  readonly owner: string;
  readonly usage: string;
  readonly contentType: string;
  readonly relations: Record<string, { ids: string[] }>;
  readonly attributes: Record<string, JsonValue>;
}

/** A file as the model has it. */
export interface Modelled {
  readonly requestId: string;
  readonly content: Bytes;
  /** As it was acknowledged last. */
  file: File;
  state: 'live' | 'deleted' | 'purging';
  /** What happened to it, as a watch tells it. */
  readonly events: string[];
  /** Its etag before the last change. */
  oldEtag?: string;
}

/** Maximum number of sessions that are left open. */
const MAX_OPEN = 100;

/** An upload session that is left open. */
export interface OpenSession {
  readonly uploadId: string;
  readonly requestId: string;
  readonly content: Bytes;
  readonly file: Described;
  /** Number of bytes that were sent. */
  readonly sent: number;
}

/** What an outage excuses: the two kinds of trouble that a test makes. */
export interface Troubles {
  /** True while calls may fail, in a way that can be repeated. */
  isOn: boolean;
  /** Number of troubles so far. */
  count: number;
}

/** Callers that change files in every way, and know how each must be. */
export class ModelledCallers {
  readonly files = new Map<string, Modelled>();
  readonly sessions: OpenSession[] = [];
  /** What no trouble excuses. */
  readonly failures: string[] = [];
  readonly troubles: Troubles = { isOn: false, count: 0 };
  /** Acknowledged changes. */
  changes = 0;
  /** Calls that were repeated. */
  repeated = 0;
  readonly #clients: () => readonly AssetClient[];
  readonly #projects: readonly string[];
  #stopped = false;
  #works: readonly Promise<void>[] = [];
  #next = 0;

  /**
   * @param clients - those of the replicas at this time
   * @param projects - ids that the relation `project` may point to
   */
  constructor(clients: () => readonly AssetClient[], projects: readonly string[]) {
    [this.#clients, this.#projects] = [clients, projects];
  }

  /** Starts callers, each with its own files. */
  start(callers: number): void {
    this.#stopped = false;
    this.#works = Array.from({ length: callers }, (_, at) => this.#work(at));
  }

  /** Lets every caller end its current action. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#works);
  }

  /** Repeats a call until it succeeds. Every failure that no trouble excuses is one of the model. */
  async call<T>(
    doing: string,
    call: (client: AssetClient, options: { timeoutMs: number }) => Promise<T>,
    settled: (said: Told) => Promise<T | undefined> = () => Promise.resolve(undefined),
  ): Promise<T> {
    const deadline = Date.now() + PATIENCE_MS;
    for (let attempt = 1; ; attempt++) {
      const before = this.troubles.count;
      const clients = this.#clients();
      try {
        return await call(clients[(this.#next += 1) % clients.length]!, { timeoutMs: CALL_MS });
      } catch (error) {
        const said = told(error);
        // An earlier attempt whose answer was lost may have done it.
        const done = attempt > 1 ? await settled(said) : undefined;
        if (done !== undefined) return done;
        const isExcused = this.troubles.isOn || this.troubles.count !== before;
        if (!isExcused || !mayRepeat(error, said)) {
          this.failures.push(`${doing} (attempt ${attempt}): ${(error as Error).message}`);
        }
        if (Date.now() > deadline) throw new Error(`${doing} never came through`, { cause: error });
        this.repeated += 1;
        await sleep(200);
      }
    }
  }

  /** Uploads a file and knows it. */
  async create(caller: number, usage = ''): Promise<Modelled> {
    const requestId = `c${caller}-${(this.#next += 1)}`;
    const content = randomContent(Math.floor(Math.random() * 3_000));
    const wanted = this.#newFile(`${requestId}.bin`, caller, usage);
    const file = await this.call('an upload', (client, { timeoutMs }) =>
      upload(client, content, { file: wanted, requestId, timeoutMs }),
    );
    return this.#known(requestId, content, wanted, file);
  }

  /** Begins a session and sends half of it. */
  async open(caller: number): Promise<OpenSession> {
    const requestId = `s${caller}-${(this.#next += 1)}`;
    const content = randomContent(2_000);
    const file = this.#newFile(`${requestId}.bin`, caller, '');
    const uploadSpec = { file, sizeBytes: BigInt(content.length), requestId };
    const { uploadId } = await this.call('a session', (client, options) =>
      client.startUpload({ uploadSpec }, options),
    );
    const piece = content.subarray(0, 1_000);
    const data = { content: piece, crc32c: crc32c(piece) };
    await this.call(
      'a piece',
      (client, options) => client.uploadChunk({ uploadId, writeOffset: 0n, data }, options),
      async () => {
        const { writeStatus } = await this.call('a session', (client, options) =>
          client.getUpload({ uploadId }, options),
        );
        const isThere = writeStatus.case === 'persistedSize' && writeStatus.value === 1_000n;
        return isThere ? ({} as never) : undefined;
      },
    );
    this.changes += 1;
    return { uploadId, requestId, content, file, sent: 1_000 };
  }

  /** Sends the rest of a session. */
  async finish({ uploadId, requestId, content, file: wanted, sent }: OpenSession): Promise<Modelled> {
    const rest = content.subarray(sent);
    const file = await this.call('the end of a session', async (client, options) => {
      const { writeStatus } = await client.getUpload({ uploadId }, options);
      if (writeStatus.case === 'file') return writeStatus.value;
      if (writeStatus.value !== BigInt(sent)) throw new Error(`a session has ${writeStatus.value} bytes`);
      const data = { content: rest, crc32c: crc32c(rest) };
      const writeOffset = BigInt(sent);
      const ended = await client.uploadChunk({ uploadId, writeOffset, data, finishWrite: true }, options);
      if (ended.writeStatus.case !== 'file') throw new Error('a session did not end in a file');
      return ended.writeStatus.value;
    });
    return this.#known(requestId, content, wanted, file);
  }

  /** Changes every field that can be. */
  async update(known: Modelled): Promise<void> {
    const { id, etag } = known.file;
    const wanted = { id, etag, ...this.#newFile(`changed ${known.events.length}`, 0, known.file.usage) };
    const paths = ['name', 'relations', 'attributes'];
    const { file } = await this.call(
      'an update',
      (client, options) => client.updateMetadata({ file: wanted, updateMask: { paths } }, options),
      async () => {
        const now = await this.call('a read', (client, options) => client.getFile({ fileId: id }, options));
        return now.file!.etag === etag ? undefined : ({ file: now.file } as never);
      },
    );
    const { name, relations, attributes } = create(FileSchema, wanted);
    this.#take(known, file!, 'updated', { ...known.file, name, relations, attributes: attributes! });
  }

  /** Soft-deletes a file; one of the usage `short` is purged later. */
  async delete(known: Modelled): Promise<void> {
    const { id } = known.file;
    const { file } = await this.call(
      'a deletion',
      (client, options) => client.deleteFile({ fileId: id }, options),
      ({ reason }) => this.#settledDeletion(known, reason),
    );
    const { deleteTime, purgeTime } = file ?? known.file;
    this.#take(known, file ?? known.file, 'deleted', {
      ...known.file,
      ...(deleteTime && { deleteTime }),
      ...(purgeTime && { purgeTime }),
    });
    known.state = known.file.usage === 'short' ? 'purging' : 'deleted';
    if (known.state === 'purging') known.events.push('purged');
  }

  /** Brings a deleted file back. */
  async undelete(known: Modelled): Promise<void> {
    const fileId = known.file.id;
    const { file } = await this.call(
      'an undeletion',
      (client, options) => client.undeleteFile({ fileId }, options),
      async ({ reason }) => {
        if (reason !== 'FILE_NOT_DELETED') return undefined;
        const now = await this.call('a read', (client, options) => client.getFile({ fileId }, options));
        return { file: now.file } as never;
      },
    );
    const { deleteTime: _, purgeTime: __, ...rest } = known.file;
    this.#take(known, file!, 'undeleted', rest);
    known.state = 'live';
  }

  async #work(caller: number): Promise<void> {
    const own: Modelled[] = [];
    const pick = (state: Modelled['state']) => {
      const some = own.filter((one) => one.state === state);
      return some[Math.floor(Math.random() * some.length)];
    };
    while (!this.#stopped) {
      try {
        const dice = Math.random();
        const [live, deleted] = [pick('live'), pick('deleted')];
        if (dice < 0.3 || !live) own.push(await this.create(caller));
        else if (dice < 0.4) own.push(await this.finish(await this.open(caller)));
        else if (dice < 0.44) {
          this.sessions.push(await this.open(caller));
          // The service permits 256 of one caller: in a long run the oldest end, after moves.
          if (this.sessions.length > MAX_OPEN) own.push(await this.finish(this.sessions.shift()!));
        } else if (dice < 0.75) await this.update(live);
        else if (dice < 0.85) await this.delete(live);
        else if (dice < 0.92 && deleted) await this.undelete(deleted);
        else await this.delete(await this.create(caller, 'short'));
      } catch (error) {
        this.failures.push((error as Error).stack!);
      }
      await sleep(Math.random() * 40);
    }
  }

  async #settledDeletion(known: Modelled, reason: string | undefined): Promise<undefined> {
    const isPurged = reason === 'FILE_NOT_FOUND' && known.file.usage === 'short';
    if (isPurged) return {} as never;
    if (reason !== 'FILE_DELETED') return undefined;
    const { id, owner } = known.file;
    const file = (await this.list(owner, true)).find((one) => one.id === id);
    return { file } as never;
  }

  /** All files of an owner, as lists have them. */
  async list(owner: string, showDeleted: boolean): Promise<readonly File[]> {
    const files: File[] = [];
    for (let pageToken = ''; ;) {
      const page = await this.call('a list', (client, options) =>
        client.listFiles({ filter: { owner }, showDeleted, pageSize: 200, pageToken }, options),
      );
      files.push(...page.files);
      pageToken = page.nextPageToken;
      if (pageToken === '') return files;
    }
  }

  #newFile(name: string, caller: number, usage: string): Described {
    const number = Math.floor(Math.random() * 10_000) + 1;
    return {
      ...{ name, owner: `owner-${caller}`, usage, contentType: 'application/octet-stream' },
      relations: { project: { ids: [this.#projects[number % this.#projects.length]!] } },
      attributes: { title: `ü ${number}`, width: number / 8, extra: { deep: [number, null, 'x'] } },
    };
  }

  #known(requestId: string, content: Bytes, wanted: Described, file: File): Modelled {
    const checksums = { sha256: sha256(content), crc32c: crc32c(content) };
    const { id, etag, createTime, updateTime, createdBy, contentType } = file;
    const known: Modelled = { requestId, content, file, state: 'live', events: ['created'] };
    this.changes += 1;
    const given = { id, etag, createdBy, contentType, checksums, sizeBytes: BigInt(content.length) };
    const times = { createTime: createTime!, updateTime: updateTime! };
    this.#compare(file, create(FileSchema, { ...wanted, ...given, ...times }));
    const other = this.files.get(id);
    if (other) this.failures.push(`${requestId} and ${other.requestId} are one file`);
    this.files.set(id, known);
    return known;
  }

  /** Takes what a change was answered with, which must be what was wanted. */
  #take(known: Modelled, file: File, event: string, wanted: File): void {
    const { etag, updateTime } = file;
    this.#compare(file, { ...wanted, etag, ...(updateTime && { updateTime }) });
    if (known.file.etag === etag) this.failures.push(`${event} of ${file.id} left its etag`);
    known.oldEtag = known.file.etag;
    known.file = file;
    known.events.push(event);
    this.changes += 1;
  }

  #compare(file: File, wanted: File): void {
    const texts = [file, wanted].map((one) => plainText(one));
    if (texts[0] !== texts[1]) this.failures.push(`answered ${texts[0]} for ${texts[1]}`);
  }
}

/** A file as text, for comparisons. */
export function plainText(file: File): string {
  const sorted = Object.entries(file).filter(([name, value]) => name !== '$typeName' && value !== undefined);
  return JSON.stringify(
    sorted.sort(([a], [b]) => (a < b ? -1 : 1)),
    (_, value: unknown) => {
      if (typeof value === 'bigint') return String(value);
      if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
      return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
    },
  );
}

/** True for a broken connection, and for an error that says when to repeat the call. */
function mayRepeat(error: unknown, { reason, code }: Told): boolean {
  if (reason === undefined) return code !== Code.NotFound && code !== Code.DeadlineExceeded;
  return code === Code.Unavailable && (error as ConnectError).findDetails(RetryInfoSchema)[0] !== undefined;
}
