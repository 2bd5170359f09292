import { sizeMismatch } from '../../errors/uploads.ts';
import { callerKey, type Caller } from '../../identity/caller.ts';
import { blobKey, readBytes, spareBlobs } from '../bytes.ts';
import { allowedContentType, headOf } from '../content-type/content-type.ts';
import type { FilesContext } from '../context.ts';
import type { ContentRules } from '../policy/usage-policies.ts';
import { verifyChecksums, type ExpectedChecksums } from './checksums.ts';
import { commit } from './commit.ts';
import type { Uploaded, Call, Content, Hold } from './hold.ts';
import type { Inflow } from './inflow.ts';
import type { OpenPart } from './open-part.ts';
import { Parts } from './parts.ts';
import { FileScan } from './scan.ts';

/**
 * Stores the bytes of one call under the id of an upload: in one request if they fit into one part, else in parts, several
 * at once. Takes only what it has memory for.
 *
 * @param end - called after the last byte; finishes the file or keeps the upload open
 * @throws AssetError FILE_TOO_LARGE if the store's parts cannot hold the bytes; what the caller, `inflow`, the store and
 *   `end` fail with
 */
export async function transfer<T>(
  context: FilesContext,
  hold: Hold,
  inflow: Inflow,
  end: (parts: Parts) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const { store, budget, uploads } = context;
  const parts = new Parts(inflow, {
    ...hold.cut,
    ...{ store, signal, concurrency: uploads.concurrency },
    ...{ memory: budget.of(callerKey(hold.facts.caller)), spare: spareBlobs(context) },
    key: () => blobKey(hold.fileId),
    begin: (part, call) => begin(context, hold, part, call),
    onStored: () => hold.noteStored(parts),
  });
  try {
    await parts.open.prepare(signal);
    await hold.open(inflow);
    await parts.pour();
    return await end(parts);
  } catch (error) {
    throw await hold.broken(parts, error, { signal });
  } finally {
    await parts.close();
    inflow.close();
  }
}

/**
 * Makes a file of an upload whose last bytes have come: verifies, scans, assembles, commits. What is refused never becomes
 * a blob, except where only a read of the assembled blob shows it.
 *
 * @throws AssetError SIZE_MISMATCH, CHECKSUM_MISMATCH, CONTENT_TYPE_MISMATCH, MALWARE_FOUND and the like
 */
export async function finish(
  context: FilesContext,
  caller: Caller,
  hold: Hold,
  parts: Parts,
  signal: AbortSignal,
): Promise<Uploaded> {
  const { inflow } = parts;
  await parts.flush();
  const content = await hold.check(async () => {
    const contentType = await typeOf(hold, parts.open, { signal });
    const actual = { sizeBytes: inflow.sizeBytes, ...inflow.checksums(), contentType };
    verify(hold.rules, hold.facts, hold.expect(inflow.end.expected), actual);
    if (inflow.scan) await inflow.scan.assertClean();
    else if (parts.isOne) await scanAll(context, parts.open.body({ signal }).chunks, signal);
    return actual;
  });
  await hold.noteFinishing(content, parts);
  signal.throwIfAborted();
  await assemble(context, hold, parts, content);
  if (!inflow.scan && !parts.isOne) await hold.check(() => scanBlob(context, hold.fileId, signal));
  return commit(context, caller, hold, content, { signal });
}

/** The multipart blob of an upload; begins it if no earlier call did. */
async function begin({ store }: FilesContext, hold: Hold, part: OpenPart, call: Call): Promise<string> {
  if (hold.multipartId !== undefined) return hold.multipartId;
  const contentType = await hold.check(() => typeOf(hold, part, call));
  const { partSizeBytes } = hold.cut;
  const multipartId = await store.startMultipart(blobKey(hold.fileId), { contentType, partSizeBytes }, call);
  await hold.noteBegun(multipartId, contentType);
  return multipartId;
}

/** The media type of a file, decided by its first part. */
async function typeOf(hold: Hold, first: OpenPart, call: Call): Promise<string> {
  if (hold.contentType !== undefined) return hold.contentType;
  return allowedContentType(hold.rules, hold.facts.description, await headOf(first.body(call).chunks));
}

/**
 * Compares a whole file with what its caller said of it.
 *
 * @throws AssetError SIZE_MISMATCH, FILE_TOO_LARGE, CHECKSUM_MISMATCH
 */
export function verify(
  rules: ContentRules,
  { sizeBytes }: { readonly sizeBytes?: number | undefined },
  expected: ExpectedChecksums,
  actual: Content,
): void {
  if (sizeBytes !== undefined && sizeBytes !== actual.sizeBytes) {
    throw sizeMismatch(sizeBytes, actual.sizeBytes);
  }
  rules.checkSize(actual.sizeBytes);
  verifyChecksums(actual, expected);
}

/** Reads the blob of an upload for the malware scanner. Does nothing without one. Rejects like {@link FileScan}. */
export async function scanBlob(context: FilesContext, fileId: string, signal: AbortSignal): Promise<void> {
  if (context.scanning === undefined) return;
  await scanAll(context, await readBytes(context.store, fileId, { signal }), signal);
}

async function scanAll(
  context: FilesContext,
  content: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  if (context.scanning === undefined) return;
  using scan = new FileScan(context, signal);
  for await (const chunk of content) await scan.show(chunk);
  await scan.assertClean();
}

async function assemble({ store }: FilesContext, hold: Hold, parts: Parts, content: Content): Promise<void> {
  const call = { signal: parts.signal };
  const { contentType } = content;
  const key = blobKey(hold.fileId);
  for (;;) {
    let status: 'created' | 'exists';
    if (parts.isOne) {
      status = await parts.sendOpen((body) => store.put(key, body, { contentType }, call), call);
    } else {
      parts.take();
      const id = parts.multipartId!;
      status = await store.completeMultipart(key, id, await hold.allParts(parts.taken, id, call), call);
    }
    if (await hold.assembled(status, content, call)) return;
  }
}
