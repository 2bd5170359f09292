import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT, serverProgram } from '../test/support/install.ts';

const run = promisify(execFile);

/** Versions of the measured software, by name. */
export async function versions(withTusd: boolean): Promise<Record<string, string>> {
  const packages = [
    ...['@connectrpc/connect-node', '@aws-sdk/client-s3', '@aws-sdk/lib-storage'],
    ...['@tus/server', '@tus/s3-store', 'tus-js-client'],
  ];
  const found: Record<string, string> = {};
  for (const name of packages) {
    const text = await readFile(join(ROOT, 'node_modules', name, 'package.json'), 'utf8');
    found[name] = (JSON.parse(text) as { version: string }).version;
  }
  found['SeaweedFS'] = await said(await serverProgram('weed'), ['version']);
  found['PocketBase'] = await said(await serverProgram('pocketbase'), ['--version']);
  if (withTusd) found['tusd'] = /tusd-([\d.]+)/.exec(await serverProgram('tusd').catch(() => ''))?.[1] ?? '–';
  found['commit'] = await said('git', ['-C', ROOT, 'rev-parse', '--short=8', 'HEAD']);
  return found;
}

/** The version in a program's output, or the output if it is one word. */
async function said(command: string, args: readonly string[]): Promise<string> {
  const { stdout } = await run(command, args).catch(() => ({ stdout: 'unknown' }));
  return /\d+\.\d+(\.\d+)?/.exec(stdout)?.[0] ?? stdout.trim();
}
