import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { Authority } from '../support/certificates.ts';
import { ROOT } from '../support/install.ts';
import { makeDir, removeDir, programEnv } from '../support/process.ts';
import { startStrangePeers } from './support/strange-peers.ts';

let dir: string;
let authority: Authority;
let strange: Awaited<ReturnType<typeof startStrangePeers>>;

beforeAll(async () => {
  dir = await makeDir('strange-peers');
  authority = await Authority.create(dir, 'authority');
  strange = await startStrangePeers(
    await authority.issue('peer', { alternativeNames: ['IP.1 = 127.0.0.1'] }),
  );
});
afterAll(async () => {
  await strange?.[Symbol.asyncDispose]();
  await removeDir(dir);
});

/** Runs a script to its end. */
function node(script: string, ...args: string[]): Promise<{ code: unknown; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const options = { cwd: dir, env: { ...programEnv() }, timeout: 120_000 };
    execFile(process.execPath, [join(ROOT, script), ...args], options, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : error.code, stdout, stderr }),
    );
  });
}

describe('peers that are not the service', () => {
  it('fail the calls of the clients, and never the process', async () => {
    const { peers } = strange;
    const child = await node(
      'test/e2e/support/strange-peers-child.ts',
      ...[JSON.stringify(peers), authority.certificate.certPath],
    );
    expect(child).toMatchObject({ code: 0, stderr: '' });
    const lines = child.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { failures: string[][] });
    expect(lines).toHaveLength(peers.length * 4);
    for (const line of lines) {
      expect(line.failures).toHaveLength(7);
      for (const failure of line.failures) {
        expect([line, failure[0]]).toEqual([line, 'AssetClientError']);
        // Never a fault of the service, which was not reached.
        expect([line, failure[1]]).toEqual([
          line,
          expect.stringMatching(/^(?:UNAVAILABLE|DEADLINE_EXCEEDED|CANCELLED|FAILED_PRECONDITION)$/),
        ]);
      }
    }
  });

  it('are told by the command line in one line, after one for each wait', async () => {
    const kinds = /^(?:answers HTTP\/1.1 and stays|speaks garbage|closes at once|speaks TLS) \(/;
    const loud = strange.peers.filter(({ name }) => kinds.test(name));
    const ended = await Promise.all(
      loud.map(async ({ name, url }) => ({ name, ...(await node('src/main.ts', 'show', 'abc', '-u', url)) })),
    );
    for (const one of ended) {
      expect(one).toMatchObject({ code: 1, stdout: '' });
      expect([one.name, one.stderr]).toEqual([
        one.name,
        expect.stringMatching(
          /^(?:asset-service: UNAVAILABLE: [^\n]+; trying again in \d+\.\d s\n)*asset-service: UNAVAILABLE: (?:CONNECTION_LOST|TLS_FAILED): [^\n]+\n$/,
        ),
      ]);
    }
  });
});
