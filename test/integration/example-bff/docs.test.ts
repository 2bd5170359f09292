import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually } from '../../support/eventually.ts';
import { ROOT } from '../../support/install.ts';
import { freePorts } from '../../support/ports.ts';
import { makeDir, removeDir, startServer, type Server } from '../../support/process.ts';

/** The shell blocks of the page, in its order. */
const BLOCKS = [...(await readFile(join(ROOT, 'docs', 'bff.md'), 'utf8')).matchAll(/```sh\n(.*?)```/gs)].map(
  ([, block]) => block!,
);

let dir: string;
let started: Server | undefined;

beforeAll(async () => {
  dir = await makeDir('bff-docs');
});

afterAll(async () => {
  await started?.dispose();
  await removeDir(dir);
});

it('does what docs/bff.md says', async () => {
  const [service, port] = await freePorts(2);
  const address = `http://127.0.0.1:${port}`;
  // The folder of the repository stays as it is.
  const script = BLOCKS[0]!.replaceAll('dev.env', join(dir, 'dev.env'));
  const env = {
    ...{
      ASSET_DATA_DIR: join(dir, 'data'),
      ASSET_LISTEN: `127.0.0.1:${service}`,
      BFF_PAGE_DIR: join(dir, 'page'),
    },
    ASSET_SERVICE_URL: `http://127.0.0.1:${service}`,
    ...{ BFF_PORT: String(port), BFF_DEV_KEYS: join(dir, 'data', 'dev-keys.json') },
  };
  started = await startServer({
    name: 'service and BFF',
    command: 'bash',
    args: ['-ec', `cd '${ROOT}'\n${script}`],
    ...{ env, dir, ownsDir: false, startTimeoutMs: 90_000 },
    ready: async () => (await fetch(`${address}/api/session`)).ok,
  });
  expect(await (await fetch(address)).text()).toContain('<script type="module" src="/page/main-');
  await eventually(async () =>
    expect((await fetch(`http://127.0.0.1:${service}/`)).status).toBeLessThan(500),
  );

  const commands = BLOCKS[1]!
    .replaceAll('http://127.0.0.1:3000', address)
    .replaceAll('dev.env', join(dir, 'dev.env'));
  const child = await startServer({
    name: 'the commands of docs/bff.md',
    command: 'bash',
    args: ['-exc', `${commands}\necho all done; sleep 600`],
    ...{ dir: await makeDir('bff-docs-curl'), ownsDir: true, startTimeoutMs: 60_000 },
    ready: () => Promise.resolve(true),
  });
  try {
    await eventually(() => expect(child.log()).toMatch(/^all done$/m));
    const said = child.log();
    expect(said).toContain('{"returnTo":"/"}');
    expect(said).toMatch(/"files":\[\{"id":"[a-z0-9]{15}","name":"dev.env"/);
    expect(said).toContain(`"url":"${address}/s/`);
    expect(said.match(/"deleteTime":"/g)).toHaveLength(1);
    expect(said).not.toContain('"error"');
  } finally {
    await child.dispose();
  }
});

it('has a package.json for its copy with the versions that are tested here', async () => {
  type Manifest = Record<'dependencies' | 'devDependencies' | 'optionalDependencies', Record<string, string>>;
  const read = async (...path: string[]) =>
    JSON.parse(await readFile(join(ROOT, ...path), 'utf8')) as Manifest;
  const [example, root] = [await read('examples', 'bff', 'package.json'), await read('package.json')];
  const tested = { ...root.devDependencies, ...root.optionalDependencies, ...root.dependencies };
  const { '@asset-service/bff': _client, ...named } = { ...example.dependencies, ...example.devDependencies };
  expect(Object.keys(named).length).toBeGreaterThan(10);
  for (const [name, version] of Object.entries(named)) expect([name, version]).toEqual([name, tested[name]]);
});
