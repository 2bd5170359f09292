import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { program } from '../../src/cli/program.ts';

/** Every message about wrong use has this form, whoever noticed it. */
const ONE_LINE = /^asset-service: (?!error: )[^\n]+ \(see --help\)\n$/;

describe('wrong use of the command line', () => {
  let stderr = '';

  beforeEach(() => {
    stderr = '';
    jest.spyOn(process.stderr, 'write').mockImplementation((text) => {
      stderr += String(text);
      return true;
    });
  });

  afterEach(() => {
    jest.restoreAllMocks();
    process.exitCode = undefined;
  });

  it.each([
    [['lst'], /unknown command 'lst'.*Did you mean list\?/],
    [['list', '--nope'], /unknown option '--nope'/],
    [['list', '--owne', 'x'], /unknown option '--owne'.*Did you mean --owner\?/],
    [['show'], /missing required argument 'id'/],
    [['list', '--limit'], /option '--limit <count>' argument missing/],
    [['list', '--limit', '0'], /'--limit <count>' argument '0' is invalid/],
    [['list', '--transport', 'smtp'], /Allowed choices are grpc, connect, grpc-web/],
    [['list', '-u', 'ftp://127.0.0.1'], /--url ftp:\/\/127\.0\.0\.1: must be an http or https address/],
    [['list', '--cert', 'a.pem'], /--cert and --key go together/],
    [['sweep', '--deep', '--rate', '0'], /must be a number of at least 1/],
    [['verify', '--sample', '101'], /must be a number above 0 and up to 100/],
    [['describe', 'k1v2w3x4y5z6a7b'], /there is nothing to change: give --set/],
    [
      ['download', 'k1v2w3x4y5z6a7b', '-o', ''],
      /'-o, --output <path>' argument '' is invalid. must not be empty/,
    ],
    [['dev-token', '--sub', ''], /'--sub <id>' argument '' is invalid. must not be empty/],
    [['serve', 'now'], /too many arguments/],
    [['legacy', 'nothing'], /unknown command 'nothing'/],
    [['legacy', 'backfill', '--workers', '1.5'], /must be a whole number from 1 to 256/],
    [['legacy', 'backfill', '--workers', '1000'], /must be a whole number from 1 to 256/],
  ])('is told on one line: %j', async (args, message) => {
    expect(await program(args)).toBe(2);
    expect(stderr).toMatch(ONE_LINE);
    expect(stderr).toMatch(message);
  });
});
