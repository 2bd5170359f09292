import circus from 'jest-circus/runner';
import { relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';

/** A full fault run, a cluster, or a first build of other languages, takes longer than any file of `npm test`. */
const FULL = ['FAULT', 'CLUSTER', 'LANGUAGES', 'ML'].some(
  (name) => process.env[`ASSET_TEST_${name}`] === 'full',
);

/** How long one test file may take, in seconds. */
const FILE_SECONDS = Number(process.env.ASSET_TEST_FILE_SECONDS ?? (FULL ? 4 * 3_600 : 1_200));

/** Time in which closed resources must be released after a test file, in seconds. */
const CLOSING_SECONDS = Number(process.env.ASSET_TEST_CLOSING_SECONDS ?? 10);

/** Node.js's names of resources that keep a process alive and that a test file must close. */
const OWNED = new Set(['TCPServerWrap', 'UDPWrap', 'ProcessWrap', 'FSEventWrap', 'Timeout']);

/**
 * Ends this process if a file blocks its thread longer than the limit, because no timer of that thread fires then. Jest
 * reports the file as failed and continues in a new process.
 */
const WATCHDOG = `
  const { parentPort } = require('node:worker_threads');
  let timer;
  parentPort.on('message', (file) => {
    clearTimeout(timer);
    if (!file) return;
    timer = setTimeout(() => {
      require('node:fs').writeSync(2, file.name + ' holds its thread and did not end within ' + file.seconds + ' s\\n');
      process.kill(process.pid, 'SIGKILL');
    }, (file.seconds + 2) * 1000);
  });
`;
let watchdog;

/**
 * Jest's test runner with three more checks. A file fails, by its name, if it
 * - hangs outside its tests and hooks (a module that never loads),
 * - blocks its thread, so that Jest's own time limits do not fire,
 * - leaves servers, child processes or timers open, which would keep the run from ending.
 * The run continues with the next file.
 */
export default async function runBounded(globalConfig, config, environment, runtime, testPath, sendToJest) {
  const name = relative(config.rootDir, testPath);
  const before = owned();
  const limit = Promise.withResolvers();
  const timer = setTimeout(() => {
    limit.reject(new Error(`${name} did not end within ${FILE_SECONDS} s`));
  }, FILE_SECONDS * 1000);
  watchdog ??= startWatchdog();
  watchdog.postMessage({ name, seconds: FILE_SECONDS });
  let result;
  try {
    // Functions in between keep this file out of the stacks of failed tests, where Jest would quote it.
    circus.default(globalConfig, config, environment, runtime, testPath, sendToJest).then(
      (ended) => limit.resolve(ended),
      (error) => limit.reject(error),
    );
    result = await limit.promise;
  } finally {
    clearTimeout(timer);
    watchdog.postMessage(undefined);
  }

  const deadline = Date.now() + CLOSING_SECONDS * 1000;
  let left = added(before);
  while (left.length > 0 && Date.now() < deadline) {
    await sleep(50, undefined, { ref: false });
    left = added(before);
  }
  if (left.length > 0 && result.numFailingTests === 0) {
    throw new Error(`${name} leaves open what keeps the process alive: ${left.join(', ')}`);
  }
  return result;
}

function startWatchdog() {
  const worker = new Worker(WATCHDOG, { eval: true });
  worker.unref();
  return worker;
}

/** Number of open resources of each kind. */
function owned() {
  const counts = new Map();
  for (const kind of process.getActiveResourcesInfo()) {
    if (OWNED.has(kind)) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return counts;
}

/** The kinds with more resources than before, such as `2 × TCPServerWrap`. */
function added(before) {
  return [...owned()]
    .map(([kind, count]) => [kind, count - (before.get(kind) ?? 0)])
    .filter(([, more]) => more > 0)
    .map(([kind, more]) => `${more} × ${kind}`);
}
