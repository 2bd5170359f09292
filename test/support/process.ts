import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { chown, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** User and group that a server runs as. */
export interface Identity {
  readonly uid: number;
  readonly gid: number;
}

/** How a server is started. */
export interface ServerSpec {
  /** Name for messages. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly identity?: Identity | undefined;
  /** The server's own directory; `server.log` in it takes what the server prints. */
  readonly dir: string;
  /** True if `dir` was made for this server and goes with it. */
  readonly ownsDir: boolean;
  /** Returns whether the server answers; a rejection counts as no. */
  readonly ready: () => Promise<boolean>;
  /** Time in which it has to answer, in milliseconds; 90 seconds if omitted. */
  readonly startTimeoutMs?: number;
  /** Signal that makes it stop normally. */
  readonly stopSignal?: NodeJS.Signals;
}

/** A server process that a test can stop, kill and restart with the same arguments. */
export interface Server {
  /** Process id, while it runs. */
  readonly pid: number | undefined;
  /** Its output since its first start. */
  log(): string;
  /** How it last ended: exit code or signal; undefined before. */
  exit(): Promise<number | NodeJS.Signals>;
  /** Starts it again and waits until it answers. */
  start(): Promise<void>;
  /** Stops it normally; kills it after 3 seconds. Keeps its data. */
  stop(): Promise<void>;
  /** Kills it at once, like a crash. Keeps its data. */
  kill(): Promise<void>;
  /** Stops the server and removes its directory if it owns it. */
  dispose(): Promise<void>;
}

/**
 * The server replaces this shell. A second shell in its process group reads from a pipe that this process holds open.
 * When this process ends, in any way, the pipe closes and the second shell kills the server. While that shell runs, the
 * server's process id cannot be reused. The pipe also closes when the server ends by itself; the second shell is then
 * killed before it removes anything.
 */
const GUARD = `
  own=$1; shift
  exec 3<&0
  ( cat <&3 >/dev/null; kill -9 $$; [ -z "$own" ] || { sleep 1; rm -rf "$own"; sleep 1; rm -rf "$own"; } ) >/dev/null 2>&1 &
  exec 3<&- </dev/null
  exec "$@"
`;

const START_TIMEOUT_MS = 90_000;
const STOP_TIMEOUT_MS = 3_000;
/** Time limit of one readiness check, in milliseconds. */
const READY_TIMEOUT_MS = 15_000;
/** Time limit of a command that {@link run} starts, in milliseconds; the longest builds a server. */
const RUN_TIMEOUT_MS = 900_000;

/** The variables of this process's environment that our programs need; no settings of the service. */
export const programEnv = () => ({
  PATH: process.env['PATH'],
  NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
});

/** Starts a server and waits until it answers. It ends with this process. */
export async function startServer(spec: ServerSpec): Promise<Server> {
  const logPath = join(spec.dir, 'server.log');
  let child: ChildProcess | undefined;
  let exited: Promise<number | NodeJS.Signals> = Promise.resolve(0);

  async function start(): Promise<void> {
    if (child) throw new Error(`${spec.name} runs already`);
    const logFile = openSync(logPath, 'a');
    const started = spawn(
      '/bin/sh',
      ['-c', GUARD, 'guard', spec.ownsDir ? spec.dir : '', spec.command, ...spec.args],
      {
        cwd: spec.dir,
        detached: true,
        env: { ...process.env, ...spec.env },
        stdio: ['pipe', logFile, logFile],
        ...spec.identity,
      },
    );
    closeSync(logFile);
    child = started;
    started.unref();
    started.stdin?.on('error', () => undefined);
    (started.stdin as unknown as { unref(): void }).unref();
    exited = new Promise((resolve) => {
      started.once('error', () => resolve(127));
      started.once('exit', (code, signal) => resolve(code ?? signal ?? 0));
    });
    void exited.then(() => {
      // Only the second shell is left in the group.
      signalGroup(started.pid, 'SIGKILL');
      if (child === started) child = undefined;
    });

    const deadline = Date.now() + (spec.startTimeoutMs ?? START_TIMEOUT_MS);
    while (!(await answers(spec))) {
      if (!child) throw new Error(`${spec.name} ended while it started:\n${log().slice(-4_000)}`);
      if (Date.now() > deadline) {
        await kill();
        throw new Error(`${spec.name} did not answer in time:\n${log().slice(-4_000)}`);
      }
      await sleep(50);
    }
    if (!child) throw new Error(`${spec.name}: another process answers in its place`);
  }

  async function kill(): Promise<void> {
    signalGroup(child?.pid, 'SIGKILL');
    await exited;
  }

  async function stop(): Promise<void> {
    child?.kill(spec.stopSignal ?? 'SIGTERM');
    const timer = setTimeout(() => signalGroup(child?.pid, 'SIGKILL'), STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(timer);
  }

  function log(): string {
    return readFileSync(logPath, 'utf8');
  }

  async function dispose(): Promise<void> {
    await stop();
    if (spec.ownsDir) await removeDir(spec.dir);
  }

  await start();
  return {
    get pid() {
      return child?.pid;
    },
    log,
    exit: () => exited,
    start,
    stop,
    kill,
    dispose,
  };
}

/** True if a server answers that it is ready; false without an answer in time. */
async function answers({ ready }: ServerSpec): Promise<boolean> {
  const silent = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => silent.resolve(false), READY_TIMEOUT_MS);
  try {
    return await Promise.race([ready().catch(() => false), silent.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Creates a temporary directory, owned by `identity` if given. */
export async function makeDir(name: string, identity?: Identity): Promise<string> {
  const base = identity ? await openBase() : tmpdir();
  const dir = await mkdtemp(join(base, `asset-test-${name}-`));
  if (identity) await chown(dir, identity.uid, identity.gid);
  return dir;
}

/** A temporary directory that every user can reach; TMPDIR may be inside a private directory. */
async function openBase(): Promise<string> {
  for (const base of [tmpdir(), '/tmp', '/var/tmp', '/dev/shm']) {
    if (await isOpen(base)) return base;
  }
  throw new Error('there is no temporary directory that every user can get to: set TMPDIR to one');
}

async function isOpen(path: string): Promise<boolean> {
  const mode = await stat(path).then(
    (found) => found.mode,
    () => 0,
  );
  return (mode & 0o001) !== 0 && (path === '/' || isOpen(dirname(path)));
}

/** Removes a directory that {@link makeDir} made. */
export async function removeDir(dir: string): Promise<void> {
  // A process that was just killed may still create a file.
  await rm(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}

/** Runs a command to its end; rejects with its output unless the exit code is 0. */
export async function run(
  command: string,
  args: readonly string[],
  options: {
    readonly env?: Record<string, string>;
    readonly identity?: Identity | undefined;
    /** Removed if this process ends before the command. */
    readonly ownDir?: string;
  } = {},
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const child = spawn('/bin/sh', ['-c', GUARD, 'guard', options.ownDir ?? '', command, ...args], {
      cwd: options.ownDir ?? tmpdir(),
      detached: true,
      env: { ...process.env, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      ...options.identity,
    });
    let output = '';
    child.stdout.on('data', (data: Buffer) => (output += data.toString()));
    child.stderr.on('data', (data: Buffer) => (output += data.toString()));
    child.stdin.on('error', () => undefined);
    child.once('error', reject);
    const limit = setTimeout(() => {
      output += `\nkilled: it did not end within ${RUN_TIMEOUT_MS / 1000} s`;
      signalGroup(child.pid, 'SIGKILL');
    }, RUN_TIMEOUT_MS);
    child.once('exit', (code) => {
      clearTimeout(limit);
      signalGroup(child.pid, 'SIGKILL');
      if (code === 0) return resolve();
      const said = `${command} ${args[0] ?? ''} ended with ${code}:\n${output.slice(-4_000)}`;
      // Exit codes of the shell for "not found" and "not executable".
      const reason = code === 127 ? 'ENOENT' : code === 126 ? 'EACCES' : 'FAILED';
      reject(Object.assign(new Error(said), { code: reason }));
    });
  });
}

function signalGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // The group is gone.
  }
}
