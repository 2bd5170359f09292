import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import PocketBase from 'pocketbase';
import { startPocketBase, type PocketBaseServer } from '../pocketbase.ts';
import { makeDir, removeDir } from '../process.ts';
import { createBucket } from '../shared-servers.ts';
import { openLegacyBucket, type LegacyBucket } from './bucket.ts';
import { LEGACY_FIELDS, makeLegacyCollections, type LegacyPeople } from './collections.ts';
import { idFor, planFiles, type LegacyPlan } from './contents.ts';
import { openLegacyBff, openLegacyWorker, type LegacyProgram } from './writers.ts';

/** A file of the legacy system. */
export interface LegacyFile extends LegacyPlan {
  readonly id: string;
  readonly ownerId: string;
  /** The key where its bytes are, or should be. */
  readonly key: string;
}

/** A PocketBase and a public bucket with files, as before the service was introduced. */
export interface LegacySystem {
  readonly pocketbase: PocketBaseServer;
  readonly admin: PocketBase;
  readonly bucket: LegacyBucket;
  readonly people: LegacyPeople;
  readonly collectionId: string;
  /** Path of PocketBase's SQLite database. */
  readonly database: string;
  readonly files: readonly LegacyFile[];
  /** Keys of objects that no record names: a lost upload, and the thumb of a deleted file. */
  readonly orphans: readonly string[];
  readonly bff: LegacyProgram;
  readonly worker: LegacyProgram;
  /** Settings of a service with its own bucket and its records in the same PocketBase. */
  readonly env: Readonly<Record<string, string>>;
  /** The file planned with this title. */
  file(title: string): LegacyFile;
  dispose(): Promise<void>;
}

const BATCH = 100;

/** Starts a legacy system with `size` plain files; see {@link planFiles} for the others. */
export async function startLegacySystem({ size = 1_000 } = {}): Promise<LegacySystem> {
  const dir = await makeDir('legacy');
  const pocketbase = await startPocketBase({ dir });
  const admin = new PocketBase(pocketbase.url);
  admin.autoCancellation(false);
  await admin.collection('_superusers').authWithPassword(pocketbase.email, pocketbase.password);
  const [bucket, own] = await Promise.all([createBucket().then(openLegacyBucket), createBucket()]);
  await admin.settings.update({
    s3: {
      ...{ enabled: true, bucket: bucket.bucket, region: bucket.region, endpoint: bucket.endpoint },
      ...{ accessKey: bucket.accessKeyId, secret: bucket.secretAccessKey, forcePathStyle: true },
    },
    batch: { enabled: true, maxRequests: BATCH, timeout: 30 },
  });
  const { collectionId, ...people } = await makeLegacyCollections(admin);
  const context = { admin, bucket, people, collectionId };
  const files = await storeFiles(context, planFiles(size));
  const database = join(dir, 'pb_data', 'data.db');
  breakRelations(database, files);
  const orphans = ['lostupload00000/lost.txt', `${collectionId}/deletedfile0000/thumbs_a.png/100x100_a.png`];
  for (const key of orphans) await bucket.put(key, Buffer.from('orphan'));
  return {
    ...{ pocketbase, ...context, database, files, orphans },
    bff: await openLegacyBff(pocketbase, bucket),
    worker: await openLegacyWorker(pocketbase),
    env: {
      ...{ ASSET_STORE: 's3', ASSET_S3_ENDPOINT: own.endpoint, ASSET_S3_BUCKET: own.bucket },
      ...{ AWS_ACCESS_KEY_ID: own.accessKeyId, AWS_SECRET_ACCESS_KEY: own.secretAccessKey },
      ...{ ASSET_CATALOG: 'pocketbase', ASSET_POCKETBASE_URL: pocketbase.url },
      ...{ ASSET_POCKETBASE_EMAIL: pocketbase.email, ASSET_POCKETBASE_PASSWORD: pocketbase.password },
      ASSET_POCKETBASE_FIELDS: JSON.stringify(LEGACY_FIELDS),
      ASSET_LEGACY_S3_BUCKET: bucket.bucket,
    },
    file(title) {
      const found = files.find((one) => one.title === title);
      if (!found) throw new Error(`no file was planned under the title ${title}`);
      return found;
    },
    async dispose() {
      bucket.client.destroy();
      await pocketbase.dispose();
      await removeDir(dir);
    },
  };
}

type Context = Pick<LegacySystem, 'admin' | 'bucket' | 'people' | 'collectionId'>;

async function storeFiles(context: Context, plans: readonly LegacyPlan[]): Promise<LegacyFile[]> {
  const files: LegacyFile[] = [];
  for (let at = 0; at < plans.length; at += BATCH) {
    const some = plans.slice(at, at + BATCH).map((plan, index) => ({ plan, number: at + index }));
    const ofBff = some
      .filter(({ plan }) => plan.way === 'bff')
      .map(({ plan, number }) => ({
        ...{ ...plan, id: idFor(String(number)), ownerId: ownerOf(context, number) },
        key: `${idFor(String(number))}/${plan.secureName}`,
      }));
    const batch = context.admin.createBatch();
    for (const file of ofBff) batch.collection('files').create(recordOf(context, file));
    await batch.send();
    await Promise.all(
      ofBff.filter(({ damage }) => damage !== 'missing').map((file) => putObject(context, file)),
    );
    const uploads = some.filter(({ plan }) => plan.way === 'pocketbase');
    files.push(...ofBff, ...(await Promise.all(uploads.map((one) => uploadFile(context, one)))));
  }
  return files;
}

function ownerOf({ people }: Context, number: number): string {
  return people.userIds[number % people.userIds.length]!;
}

function recordOf({ bucket, people }: Context, file: LegacyFile): Record<string, unknown> {
  const other = `${idFor('0')}/${planFiles(1)[0]!.secureName}`;
  const target = file.damage === 'foreign-link' ? other : file.key;
  const links = { url: bucket.publicUrl(target), path: target, none: '' };
  return {
    ...{ id: file.id, title: file.title, mime: file.contentType, user: file.ownerId, usage: 'invoice' },
    ...{ size: file.content.length + (file.damage === 'wrong-size' ? 7 : 0) },
    ...{ project: people.projectIds[0], secure_name: file.secureName, link: links[file.link] },
  };
}

async function putObject({ bucket }: Context, file: LegacyFile): Promise<void> {
  await bucket.put(file.key, file.content, file.damage === 'wrong-type' ? 'text/html' : file.contentType);
}

async function uploadFile(
  context: Context,
  { plan, number }: { plan: LegacyPlan; number: number },
): Promise<LegacyFile> {
  const ownerId = ownerOf(context, number);
  const id = idFor(String(number));
  const record = await context.admin.collection('files').create({
    ...{ id, title: plan.title, mime: plan.contentType, size: plan.content.length },
    ...{ user: ownerId, usage: 'avatar', project: context.people.projectIds[1] },
    file: new File([new Uint8Array(plan.content)], plan.secureName, { type: plan.contentType }),
  });
  // PocketBase creates a thumbnail in the bucket on its first request.
  const url = context.admin.files.getURL(record, record['file'] as string, { thumb: '100x100' });
  await (await fetch(url)).arrayBuffer();
  const key = `${context.collectionId}/${id}/${record['file']}`;
  return { ...plan, id, ownerId, key };
}

/** PocketBase refuses a missing project; old databases have such records anyway. */
function breakRelations(path: string, files: readonly LegacyFile[]): void {
  const database = new DatabaseSync(path, { timeout: 10_000 });
  const statement = database.prepare('update files set project = ? where id = ?');
  for (const { id } of files.filter((file) => file.hasBrokenRelation)) statement.run('goneproject0000', id);
  database.close();
}
