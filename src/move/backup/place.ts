import { createHash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { crc32c } from '../../files/upload/crc32c.ts';
import { isBlobKey } from '../../storage/blob.ts';
import { blobPages } from '../../storage/blob-reads.ts';
import type { BlobStore } from '../../storage/blob-store.ts';
import { BackupFault } from './fault.ts';
import {
  begunText,
  hex,
  manifestText,
  pageText,
  parseBegun,
  parseManifest,
  parsePage,
  type BackupEntry,
  type Begun,
  type Manifest,
  type PageReference,
} from './format.ts';

/** Which pages: the files, or what changed since they were copied. */
export type PageKind = 'records' | 'changes';

const LIST_PAGE = 1_000;

/**
 * Where backups are: a directory or a part of a bucket. Everything in it is a blob, written whole or not at all, and
 * never changed:
 *
 * - `bytes/ab/<sha256>`: the bytes of files; files with the same bytes share them;
 * - `begun/<name>.json`: a backup that has begun; removed at its end;
 * - `records/<name>/<number>.jsonl`, `changes/<name>/<number>.jsonl`: pages;
 * - `manifests/<name>.json`: a finished backup.
 *
 * Names of backups are in the order of time.
 */
export class BackupPlace {
  /** The blobs. Keys come from {@link bytesKey}. */
  readonly store: BlobStore;
  readonly #prefix: string;

  /** @param prefix - what all keys start with, such as `backups/`; may be empty */
  constructor(store: BlobStore, prefix: string) {
    this.store = store;
    this.#prefix = prefix;
  }

  /** Key of the bytes with a SHA-256. */
  bytesKey(sha256: Uint8Array): string {
    const name = hex(sha256);
    return `${this.#prefix}bytes/${name.slice(0, 2)}/${name}`;
  }

  /** Names of the finished backups, oldest first. */
  finished(signal: AbortSignal): Promise<readonly string[]> {
    return this.#names('manifests', signal);
  }

  /** Names of the backups that have begun and are not finished, oldest first. */
  async unfinished(signal: AbortSignal): Promise<readonly string[]> {
    const [begun, finished] = [await this.#names('begun', signal), await this.finished(signal)];
    return begun.filter((name) => !finished.includes(name));
  }

  /** Stores the start of a backup. */
  async begin(name: string, begun: Begun, signal: AbortSignal): Promise<void> {
    await this.#write(`begun/${name}.json`, begunText(begun), signal);
  }

  /** The start of a backup. */
  async begun(name: string, signal: AbortSignal): Promise<Begun> {
    const key = `begun/${name}.json`;
    return parseBegun(await this.#read(key, signal)) ?? unreadable(key);
  }

  /** Stores the manifest; from then on the backup is there. */
  async finish(manifest: Manifest, signal: AbortSignal): Promise<void> {
    await this.#write(`manifests/${manifest.name}.json`, manifestText(manifest), signal);
    await this.store.delete(`${this.#prefix}begun/${manifest.name}.json`, { signal });
  }

  /** The manifest of a finished backup. */
  async manifest(name: string, signal: AbortSignal): Promise<Manifest> {
    const key = `manifests/${name}.json`;
    return parseManifest(await this.#read(key, signal)) ?? unreadable(key);
  }

  /** The pages of an unfinished backup, in order. */
  async pages(kind: PageKind, name: string, signal: AbortSignal): Promise<readonly string[]> {
    return (await this.#list(`${kind}/${name}/`, signal)).map((key) => `${kind}/${name}/${key}`);
  }

  /** Stores the page of this number, from 0. */
  async writePage(
    kind: PageKind,
    name: string,
    number: number,
    entries: readonly BackupEntry[],
    signal: AbortSignal,
  ): Promise<PageReference> {
    const [key, text] = [`${kind}/${name}/${String(number).padStart(8, '0')}.jsonl`, pageText(entries)];
    await this.#write(key, text, signal);
    return { key, sha256: sha256Of(text) };
  }

  /** The reference to a stored page. */
  async refer(key: string, signal: AbortSignal): Promise<PageReference> {
    return { key, sha256: sha256Of(await this.#read(key, signal)) };
  }

  /** The entries of a page; throws if it is not the page of the reference. */
  async readPage({ key, sha256 }: PageReference, signal: AbortSignal): Promise<readonly BackupEntry[]> {
    const text = await this.#read(key, signal);
    return sha256Of(text) === sha256 ? (parsePage(text) ?? unreadable(key)) : unreadable(key);
  }

  /** Removes pages of an unfinished backup. */
  async dropPages(kind: PageKind, name: string, signal: AbortSignal): Promise<void> {
    for (const key of await this.pages(kind, name, signal)) {
      await this.store.delete(`${this.#prefix}${key}`, { signal });
    }
  }

  /** Keys of the pages of all backups. */
  async allPages(signal: AbortSignal): Promise<readonly string[]> {
    const found: string[] = [];
    for (const kind of ['records', 'changes'] as const)
      found.push(...(await this.#list(`${kind}/`, signal)).map((key) => `${kind}/${key}`));
    return found;
  }

  /** Removes one page. */
  async dropPage(key: string, signal: AbortSignal): Promise<void> {
    await this.store.delete(`${this.#prefix}${key}`, { signal });
  }

  /** All stored bytes, by their SHA-256 in hexadecimal. */
  async *allBytes(
    signal: AbortSignal,
  ): AsyncGenerator<{ readonly sha256: string; readonly sizeBytes: number }> {
    const prefix = `${this.#prefix}bytes/`;
    for await (const page of blobPages(this.store, { prefix, limit: LIST_PAGE }, { signal })) {
      for (const { key, sizeBytes } of page) {
        const [, start, sha256] = /^(..)\/([0-9a-f]{64})$/.exec(key.slice(prefix.length)) ?? [];
        if (sha256?.startsWith(start!)) yield { sha256, sizeBytes };
      }
    }
  }

  /** Removes stored bytes. */
  async dropBytes(sha256: string, signal: AbortSignal): Promise<void> {
    await this.store.delete(this.bytesKey(Buffer.from(sha256, 'hex')), { signal });
  }

  /** Removes a finished backup; its pages and bytes stay. */
  async dropManifest(name: string, signal: AbortSignal): Promise<void> {
    await this.store.delete(`${this.#prefix}manifests/${name}.json`, { signal });
  }

  /** Removes an unfinished backup. The bytes that it copied stay for the next one. */
  async discard(name: string, signal: AbortSignal): Promise<void> {
    for (const kind of ['records', 'changes'] as const) await this.dropPages(kind, name, signal);
    await this.store.delete(`${this.#prefix}begun/${name}.json`, { signal });
  }

  async #names(folder: string, signal: AbortSignal): Promise<readonly string[]> {
    const found = await this.#list(`${folder}/`, signal);
    return found.filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -'.json'.length));
  }

  /** What follows a prefix, in order. */
  async #list(folder: string, signal: AbortSignal): Promise<readonly string[]> {
    const prefix = `${this.#prefix}${folder}`;
    const names: string[] = [];
    for await (const page of blobPages(this.store, { prefix, limit: LIST_PAGE }, { signal })) {
      names.push(...page.map(({ key }) => key.slice(prefix.length)));
    }
    return names;
  }

  async #write(key: string, text: string, signal: AbortSignal): Promise<void> {
    const bytes = Buffer.from(text);
    const body = { sizeBytes: bytes.length, chunks: [bytes], crc32c: crc32c(bytes) };
    const contentType = key.endsWith('l') ? 'application/jsonl' : 'application/json';
    const status = await this.store.put(`${this.#prefix}${key}`, body, { contentType }, { signal });
    if (status === 'exists')
      throw new BackupFault(`another backup writes to this place: it has ${key} already`);
  }

  async #read(key: string, signal: AbortSignal): Promise<string> {
    if (!isBlobKey(key)) return unreadable(key);
    return (await buffer(await this.store.read(`${this.#prefix}${key}`, undefined, { signal }))).toString();
  }
}

function unreadable(key: string): never {
  throw new BackupFault(`${key} of the backup is damaged, or of another release`);
}

function sha256Of(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
