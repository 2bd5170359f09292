import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createWorkerClient } from '@asset-service/worker';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MOVE_POINTS, type Point } from '../../src/system/crash-points.ts';
import { clientOf, download, sha256, upload, type AssetClient } from '../e2e/support/calls.ts';
import { endOf, startCli, type Ended } from '../e2e/support/cli.ts';
import { POCKETBASE, type Setup } from '../e2e/support/setups.ts';
import { eventually } from '../support/eventually.ts';
import { ROOT } from '../support/install.ts';
import { startPocketBase, type PocketBaseServer } from '../support/pocketbase.ts';
import { startPostgres, type Postgres } from '../support/postgres.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { healthOf, startService, type Service } from '../support/service.ts';
import { createDatabase } from '../support/shared-servers.ts';
import { told } from './support/insist.ts';
import { ModelledCallers, plainText, type Modelled } from './support/modelled-callers.ts';
import { FULL } from './support/report.ts';
import { signalTree } from './support/signal-tree.ts';

/** Acknowledged changes between two switches. */
const CHANGES = FULL ? 1_000 : 40;

/** How long a command may take, in milliseconds: beside the load, on a busy machine. */
const COMMAND_MS = 300_000;

type Verb = 'switch' | 'reverse';

/** What is done to what in the middle of a switch. `active` is the catalog that is so when it begins. */
interface Trouble {
  readonly at: Point;
  readonly to: 'command' | 'replica' | 'active' | 'other';
  readonly by: 'SIGKILL' | 'SIGSTOP';
}

const BY = ['SIGSTOP', 'SIGKILL'] as const;

/** A short run stops the catalog that is not active in the pause: then no call may fail at all. */
const TROUBLES: readonly Trouble[] = FULL
  ? [
      ...MOVE_POINTS.map((at) => ({ at, to: 'command', by: 'SIGKILL' }) as const),
      ...(['move.paused', 'move.decided'] as const).map(
        (at) => ({ at, to: 'replica', by: 'SIGKILL' }) as const,
      ),
      ...(['move.preparing', 'move.paused', 'move.seeded', 'move.decided'] as const).flatMap((at) =>
        (['active', 'other'] as const).flatMap((to) => BY.map((by) => ({ at, to, by }))),
      ),
    ]
  : [{ at: 'move.paused', to: 'other', by: 'SIGSTOP' }];

describe('a round trip PocketBase, PostgreSQL, PocketBase, PostgreSQL under load', () => {
  let dir: string;
  let setup: Setup;
  let pocketbase: PocketBaseServer;
  let postgres: Postgres;
  let env: Record<string, string>;
  const replicas: Service[] = [];
  const clients: AssetClient[] = [];
  let callers: ModelledCallers;
  const watched = new AbortController();
  const seen: {
    readonly id: string;
    readonly type: string;
    readonly file: string;
    readonly cursor: string;
  }[] = [];

  beforeAll(async () => {
    dir = await makeDir('catalog-round-trip');
    [pocketbase, postgres] = await Promise.all([startPocketBase(), startPostgres()]);
    setup = await POCKETBASE.open({ pocketbase });
    const policies = join(dir, 'policies.json');
    await writeFile(policies, JSON.stringify({ usages: { short: { retentionSeconds: 1 } }, default: {} }));
    env = {
      ...setup.env,
      ...{ ASSET_NEXT_CATALOG: 'postgres', ASSET_NEXT_POSTGRES_URL: await createDatabase(postgres.url) },
      ...{ ASSET_POLICY_FILE: policies, ASSET_SWEEP_INTERVAL: '1', ASSET_HEALTH_INTERVAL: '0.5' },
      ...{ ASSET_AUDIT_LOG: 'off', ASSET_UPLOAD_SESSION_TTL: '7200' },
    };
    for (let i = 0; i < 2; i++) await replace(i);
    callers = new ModelledCallers(() => clients, setup.projects);
  }, 120_000);

  afterAll(async () => {
    watched.abort();
    await callers?.stop();
    for (const server of [postgres, pocketbase]) if (server?.pid) signalTree(server.pid, 'SIGCONT');
    for (const one of replicas) await one.dispose();
    await setup?.dispose();
    await Promise.all([postgres?.dispose(), pocketbase?.dispose()]);
    await removeDir(dir);
  }, 60_000);

  /** Starts a replica, in place of the one with this index. */
  async function replace(index: number): Promise<void> {
    const old = replicas[index];
    await old?.dispose();
    replicas[index] = await startService(env, old && { port: old.port });
    clients[index] ??= clientOf(replicas[index].url);
  }

  const move = (...args: string[]) =>
    endOf(startCli(['catalog', 'move', ...args, '--json'], { cwd: dir, env }), COMMAND_MS);

  async function done(...args: string[]): Promise<Record<string, unknown>> {
    const { code, stdout, stderr } = await move(...args);
    expect([args[0], code, stderr]).toEqual([args[0], 0, stderr]);
    return JSON.parse(stdout) as Record<string, unknown>;
  }

  /** Waits for so many further changes, while nothing is wrong. */
  async function changed(count: number): Promise<void> {
    const wanted = callers.changes + count;
    await eventually(() => expect(callers.changes).toBeGreaterThanOrEqual(wanted), 300_000);
    expect(callers.failures.slice(0, 20)).toEqual([]);
  }

  const isPostgresActive = async () =>
    (JSON.parse((await move('status')).stdout) as { active: string }).active === 'postgres';

  /** Runs a step that a trouble meets, ends the trouble, and runs it again until it is done. */
  async function troubled(verb: Verb, trouble: Trouble): Promise<void> {
    const plan = join(dir, 'plan.json');
    const signal = trouble.to === 'command' ? trouble.by : 'SIGSTOP';
    await writeFile(plan, JSON.stringify({ point: trouble.at, nth: 1, signal }));
    await writeFile(`${plan}.done`, '');
    const more = {
      NODE_OPTIONS: `--import=${join(ROOT, 'test/fault/kill-at.mjs')}`,
      ASSET_TEST_FAULT_PLAN: plan,
    };
    const args = ['catalog', 'move', verb, '--yes', '--max-pause', '5'];
    const child = startCli(args, { cwd: dir, env: { ...env, ...more } });
    const ended = endOf(child, COMMAND_MS);
    await eventually(async () => expect(await readFile(`${plan}.done`, 'utf8')).toBe(trouble.at), 200_000);
    if (trouble.to === 'command') expect((await ended).code).toBe('SIGKILL');
    else await meanwhile(verb, trouble, () => child.kill('SIGCONT'), ended);
    await changed(5);
    await eventually(async () => {
      const { code, stderr } = await move(verb, '--yes', '--max-pause', '20');
      // Shown if it is not done.
      expect([code, stderr]).toEqual([0, stderr]);
    }, 600_000);
    await changed(5);
  }

  /** Meets a replica or a catalog with a trouble while the command stands at its point. */
  async function meanwhile(
    verb: Verb,
    { at, to, by }: Trouble,
    goOn: () => void,
    ended: Promise<Ended>,
  ): Promise<void> {
    const isTaken = at === 'move.decided';
    // The catalog that is not needed may fail unseen.
    const isSeen = to === 'replica' || to === 'active' || isTaken;
    callers.troubles.count += 1;
    callers.troubles.isOn = isSeen;
    const server =
      to === 'replica' ? replicas[1]! : (verb === 'switch') === (to === 'active') ? pocketbase : postgres;
    if (by === 'SIGSTOP') signalTree(server.pid!, 'SIGSTOP');
    else await server.kill();
    if (!isSeen) callers.troubles.count -= 1;
    goOn();
    const { code, stderr } = await ended;
    // Done, or refused with the reason, never broken.
    expect([at, to, by, code, stderr]).toEqual([at, to, by, expect.any(Number), expect.any(String)]);
    expect([0, 1]).toContain(code);
    if (code === 1) expect(stderr.trim()).toMatch(/^\S.*[^.]?$/s);
    expect(stderr).not.toMatch(/^\s+at /m);
    if (by === 'SIGSTOP') signalTree(server.pid!, 'SIGCONT');
    else if (to === 'replica') await replace(1);
    else await server.start();
    await eventually(async () => {
      for (const { url } of replicas) expect(await healthOf(url)).toBe('SERVING');
    }, 60_000);
    await callers.call('a read', (client, options) => client.listFiles({ pageSize: 1 }, options));
    callers.troubles.isOn = false;
  }

  /** Everything is as the model has it. Callers have ended their actions. */
  async function isAsModelled(): Promise<void> {
    expect(callers.failures.slice(0, 20)).toEqual([]);
    const owners = new Map<string, Modelled[]>();
    for (const one of callers.files.values()) {
      const { owner } = one.file;
      owners.set(owner, [...(owners.get(owner) ?? []), one]);
    }
    for (const [owner, files] of owners) {
      const texts = (some: readonly Modelled[]) => some.map(({ file }) => plainText(file)).sort();
      await eventually(async () => {
        const all = (await callers.list(owner, true)).map((file) => plainText(file)).sort();
        expect(all).toEqual(texts(files.filter(({ state }) => state !== 'purging')));
      }, 60_000);
      const shown = (await callers.list(owner, false)).map((file) => plainText(file)).sort();
      expect(shown).toEqual(texts(files.filter(({ state }) => state === 'live')));
    }
    for (const [at, { file, state, content, requestId }] of [...callers.files.values()].entries()) {
      const client = clients[at % clients.length]!;
      const got = await client.getFile({ fileId: file.id }).catch((error: unknown) => told(error).reason);
      if (state === 'purging') expect(got).toBe('FILE_NOT_FOUND');
      else expect(plainText((got as { file: typeof file }).file)).toBe(plainText(file));
      if (at % 10 !== 0 || state !== 'live') continue;
      expect(sha256((await download(client, file.id)).content)).toEqual(sha256(content));
      if (requestId.startsWith('s')) continue;
      expect((await upload(client, content, { file: asGiven(file), requestId })).id).toBe(file.id);
    }
    for (const { uploadId, sent } of callers.sessions) {
      const { writeStatus } = await clients[0]!.getUpload({ uploadId });
      expect(writeStatus).toEqual({ case: 'persistedSize', value: BigInt(sent) });
    }
  }

  /** Etags from before are either current or refused as such, and change nothing. */
  async function oldEtagsAreRefused(): Promise<void> {
    const changed = [...callers.files.values()].filter(({ state, oldEtag }) => state === 'live' && oldEtag);
    for (const { file, oldEtag } of changed.slice(0, 20)) {
      const wanted = { id: file.id, etag: oldEtag!, name: 'lost' };
      const refused = await clients[0]!
        .updateMetadata({ file: wanted, updateMask: { paths: ['name'] } })
        .catch((error: unknown) => told(error).reason);
      expect(refused).toBe('ETAG_MISMATCH');
    }
  }

  it('keeps every field of every file, and no caller sees an error', async () => {
    const worker = createWorkerClient({ baseUrl: replicas[0]!.url, timeouts: { callMs: 0 } });
    const from = { from: 'now', signal: watched.signal } as const;
    const watching = (async () => {
      for await (const { id, type, file, cursor } of worker.watchFiles(from))
        seen.push({ id, type, file: file.id, cursor });
    })().catch((error: unknown) => error);
    // The watch has begun when it tells of a file.
    await eventually(async () => {
      await callers.create(9);
      expect(seen.length).toBeGreaterThan(0);
    });
    const first = [...callers.files.values()].at(-1)!;
    callers.start(FULL ? 6 : 3);
    await changed(CHANGES);
    const tokens = await clients[0]!.listFiles({ pageSize: 5 });

    expect(await done('start', '--yes')).toMatchObject({ refused: [] });
    expect(await done('verify')).toMatchObject({ damaged: [] });
    await troubled('switch', TROUBLES[0]!);
    expect(await isPostgresActive()).toBe(true);
    await changed(CHANGES);
    const verbs = ['reverse', 'switch'] as const;
    for (let turn = 0, next = 1; turn < 2 || next < TROUBLES.length; turn++) {
      const trouble = TROUBLES[next++];
      const verb = verbs[turn % 2]!;
      if (trouble) await troubled(verb, trouble);
      else await done(verb, '--yes', '--max-pause', '20');
      if (turn < 2) await changed(CHANGES);
    }
    if (!(await isPostgresActive())) await done('switch', '--yes', '--max-pause', '20');
    await changed(20);
    await callers.stop();

    await isAsModelled();
    await oldEtagsAreRefused();
    for (const session of callers.sessions.splice(0)) await callers.finish(session);
    const older = await clients[1]!.listFiles({ pageSize: 5, pageToken: tokens.nextPageToken });
    const oldest = tokens.files.at(-1)!.createTime!;
    for (const { createTime } of older.files) expect(createTime!.seconds <= oldest.seconds).toBe(true);
    expect(await done('verify', '--restart')).toMatchObject({ damaged: [] });
    await sawEverythingOnce(first);

    await done('complete', '--yes');
    const { ASSET_NEXT_CATALOG: _, ASSET_NEXT_POSTGRES_URL: url, ...others } = env;
    env = { ...others, ASSET_CATALOG: 'postgres', ASSET_POSTGRES_URL: url! };
    callers.troubles.isOn = true;
    for (let i = 0; i < replicas.length; i++) await replace(i);
    callers.troubles.isOn = false;
    await isAsModelled();
    await cursorGoesOnOrSaysWhy();
    watched.abort();
    await watching;
    worker.close();
  }, 3_000_000);

  /** The watch that lasted has each change of each file once, in order. */
  async function sawEverythingOnce(first: Modelled): Promise<void> {
    const told = (known: Modelled) =>
      seen.filter(({ file }) => file === known.file.id).map(({ type }) => type);
    await eventually(() => {
      for (const known of callers.files.values()) {
        if (known.file.createTime!.seconds < first.file.createTime!.seconds) continue;
        if (known.requestId.startsWith('c9')) continue;
        expect([known.requestId, told(known)]).toEqual([known.requestId, known.events]);
      }
    }, 60_000);
    expect(new Set(seen.map(({ id }) => id)).size).toBe(seen.length);
  }

  /** A cursor from before the first switch tells the rest, or why it cannot. */
  async function cursorGoesOnOrSaysWhy(): Promise<void> {
    const stop = new AbortController();
    const start = { case: 'cursor', value: seen[0]!.cursor } as const;
    const ids: string[] = [];
    try {
      for await (const { kind } of clients[0]!.watchFiles({ start }, { signal: stop.signal })) {
        if (kind.case === 'event') ids.push(kind.value.eventId);
        if (ids.length >= 10) stop.abort();
      }
    } catch (error) {
      if (!stop.signal.aborted) expect(told(error).reason).toBe('CURSOR_EXPIRED');
    }
    expect(ids).toEqual(seen.slice(1, ids.length + 1).map(({ id }) => id));
    await sleep(0);
  }
});

/** What a caller said of a file when it uploaded it. */
function asGiven({ contentType, owner, usage, relations, attributes, name }: Modelled['file']) {
  return { contentType, owner, usage, relations, name, ...(attributes && { attributes }) };
}
