#!/usr/bin/env node
/**
 * Starts the command line: src/main.ts in a checkout, dist/main.js if only the built program is there. It runs on
 * Node.js 24 or later with the flags in flags.json: on the Node.js that runs this file if it is new enough,
 * otherwise on the one that `npm ci` installed.
 *
 * This file itself must run on every Node.js that can run npm.
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { isatty } from 'node:tty';
import { fileURLToPath } from 'node:url';

const MIN_NODE_MAJOR = 24;

/**
 * Flags of Node.js and V8, which cannot be changed at run time:
 *
 * - The space for new objects has two halves of 8 MiB. V8 would grow it to 64 MiB, which does not help objects that
 *   live as long as a call.
 * - V8 scans the whole heap when it has grown by 150 %. It counts the buffers of an upload as growth, although they
 *   are short-lived: by default it scans the heap ten times a second, for half of the CPU time of a large upload.
 * - The program may request a collection of new objects (src/system/garbage-collection.ts).
 */
const FLAGS = JSON.parse(readFileSync(new URL('./flags.json', import.meta.url), 'utf8'));

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const main = [join(root, 'src', 'main.ts'), join(root, 'dist', 'main.js')].find(existsSync);

/** Path of a Node.js that is new enough; undefined if there is none. */
function findNode() {
  if (Number.parseInt(process.versions.node, 10) >= MIN_NODE_MAJOR) return process.execPath;
  try {
    const dir = dirname(createRequire(import.meta.url).resolve('node/package.json'));
    return ['node', 'node.exe'].map((name) => join(dir, 'bin', name)).find(existsSync);
  } catch {
    return undefined;
  }
}

/** Signals that a terminal sends to all processes in its foreground, including the child. */
const FROM_TERMINAL = ['SIGINT', 'SIGQUIT', 'SIGHUP'];

/** Runs the program as a child that gets the signals of this process; ends the way the child ends. */
function runChild(command, args) {
  const child = spawn(command, args, { stdio: 'inherit' });
  const atTerminal = [0, 1, 2].some((descriptor) => isatty(descriptor));
  const forwarded = ['SIGTERM', 'SIGUSR2', ...FROM_TERMINAL];
  for (const signal of forwarded) {
    // A second SIGINT would end the child before it has finished its calls.
    const hasIt = atTerminal && FROM_TERMINAL.includes(signal);
    process.on(signal, () => hasIt || child.kill(signal));
  }
  child.on('error', (error) => fail(`${command} does not start: ${error.message}`));
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code);
    for (const name of forwarded) process.removeAllListeners(name);
    process.kill(process.pid, signal);
    // For a signal that does not end this process.
    process.exitCode = 128 + constants.signals[signal];
  });
}

function fail(message) {
  process.stderr.write(`asset-service: ${message}\n`);
  process.exitCode = 1;
}

const node = findNode();
if (main === undefined) {
  fail(`neither src/main.ts nor dist/main.js is in ${root}`);
} else if (node === undefined) {
  fail(`needs Node.js ${MIN_NODE_MAJOR}, this is ${process.versions.node}. Run "npm ci" to install one.`);
} else {
  const args = [...FLAGS, main, ...process.argv.slice(2)];
  // Replaces this process, so that signals and exit codes need not be passed on.
  if (process.execve && process.platform !== 'win32') process.execve(node, [node, ...args], process.env);
  else runChild(node, args);
}
