/**
 * A Jest reporter that names what was skipped and ends the output with one plain line, for people and for
 * scripts: `N passed, N failed`, and `, N skipped` where tests were skipped. A test file that could not be run
 * counts as one failure.
 */
export default class ClosingLineReporter {
  /** Called by Jest after the last test file. */
  onRunComplete(_contexts, results) {
    const skipped = results.testResults.flatMap(({ testFilePath, testResults }) =>
      testResults
        .filter(({ status }) => status === 'pending' || status === 'todo' || status === 'disabled')
        .map(({ fullName }) => `  ${fullName} (${testFilePath.replace(`${process.cwd()}/`, '')})`),
    );
    if (skipped.length > 0) process.stdout.write(`\nSkipped:\n${skipped.join('\n')}\n`);

    let failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
    // Whatever else makes Jest say no must not look like success.
    if (!results.success && failed === 0) failed = 1;
    const line = [`${results.numPassedTests} passed`, `${failed} failed`];
    if (skipped.length > 0) line.push(`${skipped.length} skipped`);
    // At exit, since Jest prints more after its reporters: what the teardown says, handles left open.
    process.on('exit', () => process.stdout.write(`${line.join(', ')}\n`));
  }
}
