/**
 * Moves of the catalog, from PostgreSQL to PocketBase, back to another PostgreSQL, and from SQLite to PostgreSQL:
 *
 *     npm run bench:move -- --records=1000,10000 --ways=postgres-pocketbase,pocketbase-postgres
 *
 * Prints for each way and number of records the records per second of the copy and of the comparison, the CPU time of a
 * copied record in all processes, and how long writes waited in the switch. One writer changes records meanwhile.
 * `--max-pause` is in seconds, as that of the switch: a machine with other work needs more than the default.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import pLimit from 'p-limit';
import type { FileCatalog, FileRecord } from '../src/catalog/file-catalog.ts';
import { openPocketBaseCatalog } from '../src/catalog/pocketbase/pocketbase-catalog.ts';
import { openPostgresCatalog } from '../src/catalog/sql/postgres.ts';
import { openSqliteCatalog } from '../src/catalog/sql/sqlite.ts';
import { CatalogMember } from '../src/move/catalog/member.ts';
import { servingCatalog } from '../src/move/catalog/serving.ts';
import { startMove } from '../src/move/catalog/start.ts';
import { switchMove } from '../src/move/catalog/switch.ts';
import { verifyMove } from '../src/move/catalog/verify.ts';
import { newFile, newId, reserve } from '../test/conformance/file-catalog/subject.ts';
import { startPocketBase } from '../test/support/pocketbase.ts';
import { query, startPostgres } from '../test/support/postgres.ts';
import { makeDir, removeDir } from '../test/support/process.ts';
import { cpuSeconds } from './usage.ts';

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '1000,10000' },
    'max-pause': { type: 'string', default: '2' },
    ways: { type: 'string', default: 'postgres-pocketbase,pocketbase-postgres,sqlite-postgres' },
  },
});

/** A catalog on a server of its own. */
interface Subject {
  readonly catalog: FileCatalog;
  /** Another connection to it, for a replica. */
  open(): FileCatalog;
  readonly pid: number | undefined;
  dispose(): Promise<void>;
}

/** Starts a new server with a catalog. */
async function start(kind: string): Promise<Subject> {
  const kinds: Record<string, (() => Promise<Omit<Subject, 'catalog'>>) | undefined> = {
    sqlite: async () => {
      const dir = await makeDir('move');
      const open = () => openSqliteCatalog({ path: join(dir, 'catalog.db') });
      return { open, pid: undefined, dispose: () => removeDir(dir) };
    },
    postgres: async () => {
      const server = await startPostgres();
      await query(server.url, 'create database moved');
      const url = server.url.replace(/\/postgres$/, '/moved');
      return { open: () => openPostgresCatalog({ url }), pid: server.pid, dispose: server.dispose };
    },
    pocketbase: async () => {
      const server = await startPocketBase();
      const { url, email, password, pid, dispose } = server;
      const options = { url, email, password, takesImports: true };
      return { open: () => openPocketBaseCatalog(options), pid, dispose };
    },
  };
  const subject = await kinds[kind]?.();
  if (subject === undefined) throw new Error(`there is no catalog ${kind}`);
  const catalog = subject.open();
  await catalog.migrate();
  return { ...subject, catalog };
}

/** CPU time so far of this process and of servers with their processes, in seconds. */
function cpu(pids: readonly (number | undefined)[]): number {
  const own = process.cpuUsage();
  const servers = pids.filter((pid) => pid !== undefined);
  const children = readdirSync('/proc').filter(
    (name) => /^\d+$/.test(name) && servers.includes(parentOf(name)),
  );
  const all = [...servers, ...children.map(Number)];
  return all.reduce((sum, pid) => sum + cpuSeconds(pid), (own.user + own.system) / 1e6);
}

function parentOf(pid: string): number {
  try {
    return Number(
      readFileSync(`/proc/${pid}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .split(' ')[1],
    );
  } catch {
    return NaN;
  }
}

/** Fills a catalog with records as another catalog had them. */
async function fill(catalog: FileCatalog, count: number): Promise<void> {
  const limit = pLimit(8);
  const time = Date.UTC(2026, 0, 1);
  const record = (i: number): FileRecord => ({
    ...newFile({ name: `file ${i}.pdf`, owner: `owner-${i % 100}`, relations: {}, attributes: {} }),
    ...{ createTime: new Date(time + i), updateTime: new Date(time + i), revision: '1' },
    ...{ deleteTime: undefined, purgeTime: undefined },
  });
  const portions = Array.from({ length: Math.ceil(count / 100) }, (_, at) =>
    Array.from({ length: Math.min(100, count - at * 100) }, (_, i) => ({ record: record(at * 100 + i) })),
  );
  await Promise.all(portions.map((files) => limit(() => catalog.importFiles(files))));
}

/** Creates and changes records until it is ended; resolves with the longest time of a write, in milliseconds. */
async function write(catalog: FileCatalog, ended: AbortSignal): Promise<number> {
  let longest = 0;
  while (!ended.aborted) {
    const record = newFile({ relations: {}, attributes: {} });
    const { id: reservationId } = await reserve(catalog, [record.id]);
    const began = performance.now();
    await catalog.create(record, { reservationId });
    longest = Math.max(longest, performance.now() - began);
    await sleep(20);
  }
  return longest;
}

async function round(way: string, count: number): Promise<number> {
  const [from, to] = (await Promise.all(way.split('-').map(start))) as [Subject, Subject];
  await fill(from.catalog, count);
  const catalogs = { source: from.catalog, target: to.catalog };
  const member = new CatalogMember({ own: from.open(), next: to.open() }, newId());
  const serving = servingCatalog(member, () => undefined);
  member.start();
  const never = new AbortController().signal;
  const options = { holder: newId() };
  const [before, began] = [cpu([from.pid, to.pid]), performance.now()];
  const { copied, refused } = await startMove(catalogs, options, never);
  const [copySeconds, copyCpu] = [(performance.now() - began) / 1_000, cpu([from.pid, to.pid]) - before];
  if (refused[0]) throw new Error(`${refused.length} refused, the first: ${refused[0].reason}`);
  const compared = performance.now();
  const { damagedCount } = await verifyMove(catalogs, options, never);
  if (damagedCount > 0) throw new Error(`${damagedCount} differ`);
  const verifySeconds = (performance.now() - compared) / 1_000;
  // Told before the switch, which a busy machine may not do in time.
  process.stdout.write(
    `${way}, ${copied} records: copy ${Math.round(copied / copySeconds)}/s, ${((copyCpu / copied) * 1_000).toFixed(2)} ms ` +
      `of CPU each; verify ${Math.round(copied / verifySeconds)}/s\n`,
  );
  const ended = new AbortController();
  const writer = write(serving, ended.signal);
  await sleep(500);
  const maxPauseMs = Number(values['max-pause']) * 1_000;
  const { pauseMs, attempts } = await switchMove(catalogs, { ...options, maxPauseMs }, never);
  await sleep(500);
  ended.abort();
  const longest = await writer;
  process.stdout.write(
    `  pause ${pauseMs} ms (attempt ${attempts}), longest write ${Math.round(longest)} ms\n`,
  );
  await serving.close();
  await Promise.all([from, to].map(({ catalog }) => catalog.close()));
  await Promise.all([from, to].map(({ dispose }) => dispose()));
  return copyCpu / copied;
}

for (const way of values.ways.split(',')) {
  const costs: number[] = [];
  const counts = values.records.split(',').map(Number);
  for (const count of counts) costs.push(await round(way, count));
  if (costs.length > 1) {
    const ratio = costs.at(-1)! / costs[0]!;
    process.stdout.write(
      `${way}: a record costs ${ratio.toFixed(2)} x at ${counts.at(-1)} what it costs at ${counts[0]}\n`,
    );
  }
}
