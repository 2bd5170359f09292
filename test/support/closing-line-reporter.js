import { writeSync } from 'node:fs';
import { relative } from 'node:path';

/** How many of the slowest files are named. */
const SLOWEST = 10;

/**
 * A Jest reporter that lists skipped tests and the slowest files. The last line of output is for people and
 * scripts: `N passed, N failed`, with `, N skipped` if tests were skipped. A test file that could not run counts as
 * one failure.
 */
export default class ClosingLineReporter {
  #picked;

  constructor({ testNamePattern }) {
    // Whoever selects tests by name knows that the others are skipped.
    this.#picked = Boolean(testNamePattern);
  }

  /** Called by Jest after the last test file. */
  onRunComplete(_contexts, results) {
    const skipped = results.testResults.flatMap(({ testFilePath, testResults }) =>
      testResults
        .filter(({ status }) => status === 'pending' || status === 'todo' || status === 'disabled')
        .map(({ fullName }) => `  ${fullName} (${relative(process.cwd(), testFilePath)})`),
    );
    if (skipped.length > 0 && !this.#picked) process.stdout.write(`\nSkipped:\n${skipped.join('\n')}\n`);
    if (results.testResults.length > 1)
      process.stdout.write(`\nSlowest files:\n${slowest(results.testResults)}\n`);

    // At exit, because Jest continues after its reporters with the teardown and its own verdict.
    process.on('exit', (code) => {
      let failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
      // Any other failure of the run must not look like success.
      if (failed === 0 && (code !== 0 || !results.success)) failed = 1;
      const counts = [`${results.numPassedTests} passed`, `${failed} failed`];
      if (skipped.length > 0) counts.push(`${skipped.length} skipped`);
      // Directly, because Jest closes the stream when it ends on an error.
      writeSync(process.stdout.fd, `${counts.join(', ')}\n`);
    });
  }
}

/** One line for each of the slowest files, with its seconds. */
function slowest(testResults) {
  return testResults
    .map(({ testFilePath, perfStats }) => ({
      file: relative(process.cwd(), testFilePath),
      ms: perfStats.runtime,
    }))
    .filter(({ ms }) => ms > 0)
    .toSorted((a, b) => b.ms - a.ms)
    .slice(0, SLOWEST)
    .map(({ file, ms }) => `${(ms / 1000).toFixed(1).padStart(7)} s  ${file}`)
    .join('\n');
}
