import { expect, it } from '@jest/globals';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { reloadPolicies, UsagePolicies } from '../../../src/files/policy/usage-policies.ts';

it('a policy file holds when it has changed, and one that is wrong changes nothing but the log', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'policies-'));
  const path = join(dir, 'policies.json');
  /** Replaces the file as a whole, as a mounted configuration is. */
  const put = async (text: string) => {
    await writeFile(`${path}.new`, text);
    await rename(`${path}.new`, path);
  };
  await put('{"default":{"maxSizeBytes":1}}');
  const policies = new UsagePolicies({ default: { maxSizeBytes: 1 } });
  let logged: (line: string) => void = () => undefined;
  const nextLine = () =>
    new Promise<Record<string, unknown>>((resolve) => {
      logged = (line) => resolve(JSON.parse(line) as Record<string, unknown>);
    });
  const end = reloadPolicies(path, policies, pino({}, { write: (line: string) => logged(line) }));
  try {
    let line = nextLine();
    await put('{"default":{"maxSizeBytes":22}}');
    expect(await line).toMatchObject({ level: 30 });
    expect(policies.of('any').maxSizeBytes).toBe(22);

    line = nextLine();
    await put('{"default":{"maxSizeBytes":-1, "read":["all"]}}');
    const told = await line;
    expect(told).toMatchObject({ level: 50, mistakes: expect.stringContaining('default.read[0]') });
    expect(policies.of('any').maxSizeBytes).toBe(22);

    line = nextLine();
    await rm(path);
    expect(await line).toMatchObject({ level: 50, err: { code: 'ENOENT' } });
    expect(policies.of('any').maxSizeBytes).toBe(22);
  } finally {
    end();
    await rm(dir, { recursive: true });
  }
});
