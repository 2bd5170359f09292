import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from '../../support/install.ts';

const MAIN = join(ROOT, 'src', 'main.ts');

/** How a command ended. */
export interface Ended {
  /** The exit code, or the signal that ended it. */
  readonly code: number | NodeJS.Signals;
  readonly stdout: string;
  readonly stderr: string;
}

/** Where and with what a command runs. */
export interface Place {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  /** What it reads from standard input; nothing if omitted. */
  readonly input?: string | Uint8Array;
}

/** Starts the command line, with nothing of this process's environment but the path. */
export function startCli(args: readonly string[], { cwd, env = {} }: Place): ChildProcess {
  return spawn(process.execPath, [MAIN, ...args], { cwd, env: { ...programEnv(), ...env } });
}

/** Runs the command line to its end. */
export function runCli(args: readonly string[], place: Place): Promise<Ended> {
  const child = startCli(args, place);
  child.stdin!.on('error', () => undefined);
  child.stdin!.end(place.input ?? '');
  return endOf(child);
}

/** Waits until a command has ended; kills it after this time. */
export function endOf(child: ChildProcess, timeoutMs = 180_000): Promise<Ended> {
  return new Promise((resolve) => {
    let [stdout, stderr] = ['', ''];
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code: code ?? signal ?? 0, stdout, stderr });
    });
  });
}

/** Gives a child a terminal of 120 columns, and passes on what it writes to it. */
const TERMINAL = `
import fcntl, pty, struct, sys, termios
status = pty.spawn(['sh', '-c', 'stty cols 120 rows 40; exec "$@"', 'sh', *sys.argv[1:]])
sys.exit(status >> 8)
`;
import { programEnv } from '../../support/process.ts';

/** Runs the command line on a terminal; standard output and error are both that. */
export function runOnTerminal(args: readonly string[], { cwd, env = {}, input }: Place): Promise<Ended> {
  const child = spawn('python3', ['-c', TERMINAL, process.execPath, MAIN, ...args], {
    cwd,
    env: { ...programEnv(), HOME: process.env['HOME'], TERM: 'xterm', ...env },
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  });
  child.stdin?.end(input);
  return endOf(child);
}

/** The lines that a terminal shows after this text: of control sequences it knows those that the command line uses. */
export function screenOf(text: string): string[] {
  const lines: string[][] = [[]];
  let column = 0;
  for (const [part] of text.matchAll(/\u001b\[\??\d*[a-zA-Z]|[^]/gu)) {
    const line = lines.at(-1)!;
    if (part === '\r') column = 0;
    else if (part === '\n') lines.push([]);
    else if (part === '\u001b[K') line.length = Math.min(line.length, column);
    else if (part.startsWith('\u001b[?7')) continue;
    else if (part.startsWith('\u001b')) throw new Error(`an unknown sequence: ${JSON.stringify(part)}`);
    else line[column++] = part;
    if (part === '\n') column = 0;
  }
  return lines.map((line) => line.join('').trimEnd()).filter((line) => line !== '');
}
