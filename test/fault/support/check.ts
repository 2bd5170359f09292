import { createHash } from 'node:crypto';
import { ListMultipartUploadsCommand, paginateListObjectsV2, S3Client } from '@aws-sdk/client-s3';
import type { File } from '@asset-service/contract/asset/v1/file_pb.js';
import { setTimeout as sleep } from 'node:timers/promises';
import { urlOf, type AssetClient } from '../../e2e/support/calls.ts';
import type { KnownFile, Ledger } from './ledger.ts';
import type { Deployment } from './world.ts';

/**
 * Checks all invariants against the store and the catalog. All callers must have ended, and both dependencies and at
 * least the first replica must be up.
 */
export async function checkEverything(world: Deployment, ledger: Ledger): Promise<void> {
  const client = world.replicas[0]!.client;
  const records = await allFiles(client);
  for (const known of ledger.files.values()) checkKnown(ledger, known, records.get(known.id));
  const byName = new Map<string, string>();
  for (const record of records.values()) {
    const other = byName.get(record.name);
    if (other !== undefined)
      ledger.breach('duplicate', `${other} and ${record.id} are of request ${record.name}`);
    byName.set(record.name, record.id);
    if (!ledger.files.has(record.id)) ledger.breach('duplicate', `${record.id} was acknowledged to nobody`);
    if (!record.deleteTime) await checkBytes(ledger, client, record);
  }
  await checkLeftovers(world, ledger);
}

/** All records, including deleted ones. */
async function allFiles(client: AssetClient): Promise<Map<string, File>> {
  const records = new Map<string, File>();
  let pageToken = '';
  do {
    const page = await client.listFiles({ pageSize: 500, pageToken, showDeleted: true });
    for (const file of page.files) records.set(file.id, file);
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  return records;
}

function checkKnown(ledger: Ledger, known: KnownFile, record: File | undefined): void {
  const { id, deletion, updates, unsureUpdates } = known;
  if (deletion === 'done') {
    if (record && !record.deleteTime) ledger.breach('lost', `the acknowledged deletion of ${id} is undone`);
    return;
  }
  if (!record || record.deleteTime) return ledger.breach('lost', `${id} was acknowledged and is not there`);
  const width = Number(record.attributes?.['width'] ?? 0);
  if (width < updates || width > updates + unsureUpdates) {
    ledger.breach(
      'lost',
      `${id} has ${width} updates: ${updates} were acknowledged, ${unsureUpdates} may have been made`,
    );
  }
  const hash = Buffer.from(record.checksums?.sha256 ?? []).toString('hex');
  if (hash !== known.sha256)
    ledger.breach('halfVisible', `the record of ${id} has another checksum than was sent`);
}

/** Reads a file by its URL, as a browser does. */
async function checkBytes(ledger: Ledger, client: AssetClient, record: File): Promise<void> {
  const answer = await fetch(await urlOf(client, record.id));
  const content = Buffer.from(await answer.arrayBuffer());
  const hash = createHash('sha256').update(content).digest('hex');
  const same = hash === Buffer.from(record.checksums?.sha256 ?? []).toString('hex');
  if (answer.status === 404) ledger.breach('lost', `${record.id} is visible, but its blob is not there`);
  else if (!answer.ok) ledger.breach('other', `the URL of ${record.id} answers ${answer.status}`);
  else if (!same || content.length !== Number(record.sizeBytes)) {
    ledger.breach('halfVisible', `${record.id} has ${content.length} bytes with SHA-256 ${hash}`);
  }
}

/** Waits until the sweepers must have finished, and checks that nothing is left. */
async function checkLeftovers(world: Deployment, ledger: Ledger): Promise<void> {
  const deadline = Date.now() + world.leftoversMs + 15_000;
  for (;;) {
    const files = new Set(await world.inspector.fileIds());
    const blobs = await storedNames(world);
    const orphans = blobs.filter((name) => !isBlobOf(name, files));
    const past = await world.inspector.pastThings(new Date(Date.now() - 5_000));
    if (orphans.length === 0 && past.length === 0) return;
    if (Date.now() > deadline) {
      for (const name of orphans) ledger.breach('orphans', `${name} is left in the store`);
      for (const thing of past) ledger.breach('orphans', `${thing} is left in the catalog`);
      return;
    }
    await sleep(500);
  }
}

function isBlobOf(name: string, files: ReadonlySet<string>): boolean {
  return name.startsWith('assets/') && files.has(name.split('/').at(-1)!);
}

/** Names of all objects, and of all unfinished multipart uploads with a mark. */
async function storedNames({ setup }: Deployment): Promise<string[]> {
  const { bucket, ...address } = setup.bucket!;
  const client = new S3Client({ ...address, forcePathStyle: true, credentials: address });
  try {
    const names: string[] = [];
    for await (const page of paginateListObjectsV2({ client }, { Bucket: bucket })) {
      for (const { Key = '' } of page.Contents ?? []) names.push(Key);
    }
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
    return [...names, ...Uploads.map(({ Key = '' }) => `multipart of ${Key}`)];
  } finally {
    client.destroy();
  }
}
