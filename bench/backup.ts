/**
 * Memory of a backup and of a whole restore: `npm run bench:backup -- --records=2000,50000`.
 *
 * Fills a SQLite and a directory with small files, backs them up into another directory, and restores that into empty ones.
 * Prints the greatest resident memory and the CPU time per record of each command.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { migrateCatalog } from '../src/app/catalog.ts';
import { withStoreAndCatalog } from '../src/app/legacy.ts';
import { loadConfig } from '../src/config/config.ts';
import { blobKey } from '../src/files/bytes.ts';
import { crc32c } from '../src/files/upload/crc32c.ts';
import { newFileId } from '../src/files/upload/ids.ts';
import { FilesystemLayout } from '../src/storage/filesystem/layout.ts';
import { makeDir, removeDir } from '../test/support/process.ts';
import { buildService } from './build.ts';
import { measuredCommand } from './measured-command.ts';

const MEBIBYTE = 2 ** 20;
const PORTION = 100;

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '2000,50000' },
    size: { type: 'string', default: '200' },
  },
});

await buildService();
for (const count of values.records.split(',').map(Number)) await round(count);

/** Backs up and restores so many files. */
async function round(count: number): Promise<void> {
  const dir = await makeDir('bench-backup');
  const env = (name: string) => ({
    ...{ ASSET_DATA_DIR: join(dir, name), ASSET_CATALOG: 'sqlite', ASSET_STORE: 'filesystem' },
    ASSET_AUDIT_LOG: 'off',
  });
  try {
    await seed(env('from'), join(dir, 'from'), count);
    await measure('backup', ['backup', join(dir, 'place')], { dir, env: env('from'), count });
    await measure('restore', ['restore', join(dir, 'place'), '--yes'], { dir, env: env('to'), count });
  } finally {
    await removeDir(dir);
  }
}

/** Writes files past the service: their bytes without a sync, and their records. */
async function seed(env: Readonly<Record<string, string>>, data: string, count: number): Promise<void> {
  const config = loadConfig(env);
  await migrateCatalog(config);
  const layout = new FilesystemLayout(data);
  await withStoreAndCatalog(config, async ({ catalog }) => {
    for (let done = 0; done < count; done += PORTION) {
      const files = Array.from({ length: Math.min(PORTION, count - done) }, () => {
        const content = randomBytes(Number(values.size));
        const id = newFileId();
        const path = layout.blobPath(blobKey(id));
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, content);
        const now = new Date();
        const record = {
          ...{ id, name: `${id}.bin`, contentType: 'application/octet-stream', sizeBytes: content.length },
          ...{
            sha256: new Uint8Array(createHash('sha256').update(content).digest()),
            crc32c: crc32c(content),
          },
          ...{ owner: '', usage: '', relations: {}, attributes: {}, createdBy: 'bench', createdFor: '' },
          ...{ createTime: now, updateTime: now, deleteTime: undefined, purgeTime: undefined, revision: '1' },
        };
        return { record };
      });
      await catalog.importFiles(files);
    }
  });
}

/** Runs one command to its end and prints what it took. */
async function measure(
  name: string,
  args: readonly string[],
  { dir, env, count }: { readonly dir: string; readonly env: Record<string, string>; readonly count: number },
): Promise<void> {
  const { seconds, cpu, memory } = await measuredCommand(args, { dir, env });
  process.stdout.write(
    `${name} of ${count} records: peak ${Math.round(memory / MEBIBYTE)} MiB, ${((cpu * 1e3) / count).toFixed(2)} ms of CPU each, ` +
      `${Math.round(count / seconds)}/s\n`,
  );
}
