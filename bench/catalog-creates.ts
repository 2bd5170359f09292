/**
 * Cost of a new record in each catalog, compared with another checkout of this repository:
 *
 *     node bench/catalog-creates.ts --against=../other --rounds=10 --files=400
 *
 * Prints for each catalog the creates per second of 16 callers and the CPU time of a create, of this process and of
 * the server, in microseconds. The two checkouts take turns; the medians of the rounds are compared.
 */
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { FileCatalog } from '../src/catalog/file-catalog.ts';
import { newFile, reserve } from '../test/conformance/file-catalog/subject.ts';
import { startPocketBase } from '../test/support/pocketbase.ts';
import { query, startPostgres } from '../test/support/postgres.ts';
import { makeDir, removeDir } from '../test/support/process.ts';
import { treeCpuSeconds } from './usage.ts';

const CALLERS = 16;
const root = resolve(import.meta.dirname, '..');

const { values } = parseArgs({
  options: {
    against: { type: 'string' },
    rounds: { type: 'string', default: '10' },
    files: { type: 'string', default: '400' },
    catalogs: { type: 'string', default: 'sqlite,postgres,pocketbase' },
  },
});
const rounds = Number(values.rounds);
const count = Number(values.files);
const checkouts = values.against === undefined ? [root] : [resolve(values.against), root];

/** A catalog of one checkout. */
interface Candidate {
  readonly catalog: FileCatalog;
  /** Process of its server, if it has one. */
  readonly pid: number | undefined;
  dispose(): Promise<void>;
}

/** Opens the catalog of a checkout, on a server of its own. */
async function open(kind: string, checkout: string): Promise<Candidate> {
  const driver = async (path: string, name: string) => {
    const module = (await import(join(checkout, 'src/catalog', path))) as Record<string, unknown>;
    return module[name] as (options: object) => FileCatalog;
  };
  if (kind === 'sqlite') {
    const dir = await makeDir('creates');
    const catalog = (await driver('sql/sqlite.ts', 'openSqliteCatalog'))({ path: join(dir, 'catalog.db') });
    return { catalog, pid: undefined, dispose: () => removeDir(dir) };
  }
  if (kind === 'postgres') {
    const server = await startPostgres();
    await query(server.url, 'create database creates');
    const url = server.url.replace(/\/postgres$/, '/creates');
    const catalog = (await driver('sql/postgres.ts', 'openPostgresCatalog'))({ url });
    return { catalog, pid: server.pid, dispose: server.dispose };
  }
  const server = await startPocketBase();
  const { url, email, password } = server;
  const catalog = (await driver('pocketbase/pocketbase-catalog.ts', 'openPocketBaseCatalog'))({
    url,
    email,
    password,
  });
  return { catalog, pid: server.pid, dispose: server.dispose };
}

interface Result {
  readonly perSecond: number;
  readonly ownMicros: number;
  readonly serverMicros: number;
}

/** Creates files with 16 callers, as uploads do: one reservation for all. */
async function round({ catalog, pid }: Candidate): Promise<Result> {
  const files = Array.from({ length: count }, () => newFile({ attributes: {} }));
  const { id: reservationId } = await reserve(
    catalog,
    files.map(({ id }) => id),
  );
  const serverCpu = () => (pid === undefined ? 0 : treeCpuSeconds(pid));
  const [own, server, started] = [process.cpuUsage(), serverCpu(), performance.now()];
  await Promise.all(
    Array.from({ length: CALLERS }, async (_, caller) => {
      for (let i = caller; i < count; i += CALLERS) await catalog.create(files[i]!, { reservationId });
    }),
  );
  const seconds = (performance.now() - started) / 1_000;
  const { user, system } = process.cpuUsage(own);
  return {
    perSecond: count / seconds,
    ownMicros: (user + system) / count,
    serverMicros: ((serverCpu() - server) * 1e6) / count,
  };
}

const median = (numbers: readonly number[]) =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]!;

for (const kind of values.catalogs.split(',')) {
  const candidates = await Promise.all(checkouts.map((checkout) => open(kind, checkout)));
  const results: Result[][] = checkouts.map(() => []);
  for (const { catalog } of candidates) await catalog.migrate();
  // The first is not counted: it fills caches.
  for (let i = 0; i <= rounds; i++) {
    for (const [n, candidate] of candidates.entries()) {
      const result = await round(candidate);
      if (i > 0) results[n]!.push(result);
    }
  }
  for (const [n, ofOne] of results.entries()) {
    const of = (name: keyof Result) => Math.round(median(ofOne.map((one) => one[name])));
    process.stdout.write(
      `${kind} ${checkouts[n]}: ${of('perSecond')} creates/s, ${of('ownMicros')} us here, ${of('serverMicros')} us in the server\n`,
    );
  }
  for (const { catalog, dispose } of candidates) {
    await catalog.close();
    await dispose();
  }
}
