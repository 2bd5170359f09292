import { availableParallelism } from 'node:os';
import { join } from 'node:path';

// The programs that tests start are compiled once: it halves the time in which they start.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, '.cache', 'compile');

/** Jest runs ES modules as they are (`--experimental-vm-modules`); swc only strips the types. */
const common = {
  testEnvironment: 'node',
  testRunner: '<rootDir>/test/support/bounded-runner.js',
  extensionsToTreatAsEsm: ['.ts'],
  // Servers and environments of other languages have 200,000 files, which Jest would list before each run.
  modulePathIgnorePatterns: ['<rootDir>/\\.cache/'],
  transform: {
    '^.+\\.ts$': ['@swc/jest', { jsc: { target: 'es2024', parser: { syntax: 'typescript' } } }],
  },
};

export default {
  // What takes seconds on a quiet machine: a busy one has its time, and what hangs still fails by its name.
  testTimeout: 240_000,
  // A file waits for servers and timers half of its time: one more than there are cores keeps all of them busy.
  maxWorkers: availableParallelism() + 1,
  testSequencer: '<rootDir>/test/support/slowest-first.js',
  // ES modules of a file that has ended are not collected: a worker is replaced before it holds too many of them. Its
  // successor loads Jest and its first modules anew, for two seconds of CPU.
  workerIdleMemoryLimit: '800MB',
  // What a file leaves open fails it by name (bounded-runner.js), and must not keep the run from ending as well.
  forceExit: true,
  reporters: ['default', '<rootDir>/test/support/closing-line-reporter.js'],
  projects: [
    { ...common, displayName: 'unit', testMatch: ['<rootDir>/test/unit/**/*.test.ts'] },
    {
      // The whole service in the process of the test, on what is embedded.
      ...common,
      displayName: 'use-cases',
      testMatch: ['<rootDir>/test/use-cases/**/*.test.ts'],
    },
    {
      // Servers are started before the first test of this project, and only if one is run.
      ...common,
      displayName: 'servers',
      testMatch: ['<rootDir>/test/{conformance,integration,e2e,fault,attack,move}/**/*.test.ts'],
      globalSetup: '<rootDir>/test/support/global-setup.ts',
      globalTeardown: '<rootDir>/test/support/global-teardown.ts',
    },
    // Clusters take minutes: they run in `npm run test:cluster` alone.
    ...(process.env.ASSET_TEST_CLUSTER === 'full'
      ? [{ ...common, displayName: 'cluster', testMatch: ['<rootDir>/test/cluster/**/*.test.ts'] }]
      : []),
  ],
};
