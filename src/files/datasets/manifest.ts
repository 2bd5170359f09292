import type { FileRecord } from '../../catalog/file-catalog.ts';
import { datasetInvalid } from '../../errors/records.ts';
import { essence } from '../content-type/media-types.ts';

/** Usage and media type that make a file a dataset manifest. Files of this usage with another type are ordinary files. */
const MANIFEST_USAGE = 'dataset';
/** See {@link MANIFEST_USAGE}. */
export const MANIFEST_TYPE = 'application/vnd.asset.dataset';

/** Limits of a manifest, so that it is read with little memory and in bounded time. */
const MAX_FILES = 1_000_000;
const MAX_LINE_BYTES = 16 * 1024;
const MAX_PATH_BYTES = 1024;

/** One file that a manifest names. */
export interface ManifestEntry {
  /** Line of the manifest, from 1. */
  readonly line: number;
  readonly path: string;
  readonly id: string;
  /** In lower-case hexadecimal. */
  readonly sha256: string;
  readonly size: number;
}

/** True if a file with this description is a manifest. */
export function isManifest({ usage, contentType }: Pick<FileRecord, 'usage' | 'contentType'>): boolean {
  return usage === MANIFEST_USAGE && essence(contentType) === MANIFEST_TYPE;
}

/**
 * The entries of a manifest: lines of JSON. The first one names the dataset, the version and the number of files; each
 * other one has `path`, `id`, `sha256` and `size`, in ascending order of the paths' UTF-8.
 *
 * @param onHead - gets the first line
 * @throws AssetError DATASET_INVALID with the line of the mistake
 */
export async function* readManifest(
  content: AsyncIterable<Uint8Array>,
  onHead: (head: Readonly<Record<string, unknown>>) => void = () => undefined,
): AsyncGenerator<ManifestEntry> {
  let line = 0;
  let files = 0;
  let before: Buffer | undefined;
  const prefixes: Buffer[] = [];
  for await (const text of linesOf(content)) {
    line++;
    const value = parse(text, line);
    if (line === 1) {
      files = fileCount(value);
      onHead(value);
      continue;
    }
    const entry = toEntry(value, line);
    const path = Buffer.from(entry.path);
    if (before !== undefined && Buffer.compare(before, path) >= 0) {
      throw datasetInvalid(
        line,
        'its path is not behind the one before: sort the lines by path, each path once',
      );
    }
    // What starts with a text is together in this order.
    while (prefixes.length > 0 && !startsWith(path, prefixes.at(-1)!)) prefixes.pop();
    if (prefixes.some(({ length }) => path[length] === SLASH)) {
      throw datasetInvalid(line, 'a part of its path is a file');
    }
    prefixes.push(path);
    before = path;
    yield entry;
  }
  if (line === 0) throw datasetInvalid(1, 'the first line is missing');
  if (files !== line - 1) throw datasetInvalid(1, `it says ${files} files, and ${line - 1} follow`);
}

/**
 * The ids that the first line of a manifest says the version was made from. Ask only for a new manifest: one that was stored
 * before this was checked still names the files that it keeps.
 *
 * @throws AssetError DATASET_INVALID
 */
export function sourcesIn({
  derived_from: sources = [],
  description = '',
}: Readonly<Record<string, unknown>>): readonly string[] {
  if (typeof description !== 'string') throw datasetInvalid(1, '"description" has to be a text');
  if (Array.isArray(sources) && sources.every(isId)) return sources;
  throw datasetInvalid(1, '"derived_from" has to be a list of ids of files');
}

function isId(id: unknown): id is string {
  return typeof id === 'string' && /^[\x21-\x7e]{1,64}$/.test(id);
}

function startsWith(text: Buffer, start: Buffer): boolean {
  return text.subarray(0, start.length).equals(start);
}

const SLASH = 0x2f;
const NEWLINE = 0x0a;

async function* linesOf(content: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let rest = Buffer.alloc(0);
  let line = 1;
  for await (const chunk of content) {
    const bytes = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk]);
    let start = 0;
    for (let end; (end = bytes.indexOf(NEWLINE, start)) >= 0; start = end + 1) {
      assertLength(end - start, line);
      yield bytes.toString('utf8', start, end);
      line++;
    }
    rest = bytes.subarray(start);
    assertLength(rest.length, line);
  }
  if (rest.length > 0) yield rest.toString('utf8');
}

function assertLength(bytes: number, line: number): void {
  if (bytes > MAX_LINE_BYTES) throw datasetInvalid(line, `it has more than ${MAX_LINE_BYTES} bytes`);
}

function parse(text: string, line: number): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw datasetInvalid(line, 'it is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw datasetInvalid(line, 'it is not an object');
  }
  return value as Record<string, unknown>;
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

function fileCount({ dataset, version, files }: Record<string, unknown>): number {
  for (const [name, value] of Object.entries({ dataset, version })) {
    if (typeof value === 'string' && NAME.test(value)) continue;
    const rule = 'has to be 1 to 64 letters, digits and `.`, `_`, `-`, the first a letter or digit';
    throw datasetInvalid(1, `"${name}" ${rule}`);
  }
  if (version === 'draft') throw datasetInvalid(1, 'no version is named "draft"');
  if (typeof files === 'number' && Number.isSafeInteger(files) && files >= 0 && files <= MAX_FILES)
    return files;
  throw datasetInvalid(1, `"files" has to be the number of files, at most ${MAX_FILES}`);
}

function toEntry({ path, id, sha256, size }: Record<string, unknown>, line: number): ManifestEntry {
  if (typeof path !== 'string' || !isPath(path)) {
    throw datasetInvalid(
      line,
      `"path" has to be names separated by "/", without ".", "..", "\\" and control characters, ` +
        `of at most ${MAX_PATH_BYTES} bytes`,
    );
  }
  if (!isId(id)) throw datasetInvalid(line, '"id" has to be the id of a file');
  if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256)) {
    throw datasetInvalid(line, '"sha256" has to be 64 digits in lower-case hexadecimal');
  }
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw datasetInvalid(line, '"size" has to be the size of the file in bytes');
  }
  return { line, path, id, sha256, size };
}

function isPath(path: string): boolean {
  if (!path.isWellFormed() || Buffer.byteLength(path) > MAX_PATH_BYTES || /[\p{Cc}\\]/u.test(path))
    return false;
  return path.split('/').every((name) => name !== '' && name !== '.' && name !== '..');
}
