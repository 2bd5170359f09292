import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { cp, readFile, rm } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from '../support/install.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';

const run = promisify(execFile);

/** True to build the programs whose dependencies take minutes, as `npm run test:languages` does. */
const FULL = process.env['ASSET_TEST_LANGUAGES'] === 'full';

const LANGUAGES = [
  { name: 'Python', needs: [['python3', '-m', 'venv', '--help']], quick: true },
  { name: 'Go', needs: [['go', 'version']], quick: true },
  {
    name: 'Java',
    needs: [
      ['java', '-version'],
      ['mvn', '--version'],
    ],
    quick: false,
  },
  { name: 'Rust', needs: [['cargo', '--version']], quick: false },
];

const has = ([command, ...args]: string[]) => spawnSync(command!, args).status === 0;

let dir: string;
let service: Service;
const env: Record<string, string | undefined> = {
  ...process.env,
  PATH: [join(ROOT, 'node_modules', '.bin'), process.env['PATH']].join(delimiter),
  // Go's own words for "the Go that is installed".
  GOTOOLCHAIN: 'local',
};

/** A folder as the page wants it: the examples, a file to send, and the unpacked archive of the contract. */
beforeAll(async () => {
  dir = await makeDir('languages');
  service = await startService();
  env['ASSET_SERVICE_URL'] = service.url;
  env['ASSET_SERVICE_ADDRESS'] = service.url.slice('http://'.length);
  await cp(join(ROOT, 'README.md'), join(dir, 'README.md'));
  const generated = /(?:^|\/)(?:gen|target|asset_api|__pycache__)$/;
  await cp(join(ROOT, 'examples'), join(dir, 'examples'), {
    recursive: true,
    filter: (source) => !generated.test(source.slice(ROOT.length)),
  });
  const script = join(ROOT, 'scripts', 'pack-proto.js');
  const archive = execFileSync(process.execPath, [script, dir], { env, encoding: 'utf8' }).trim();
  execFileSync('tar', ['-xzf', archive, '-C', dir]);
}, 120_000);
afterAll(async () => {
  await service.dispose();
  await removeDir(dir);
});

/** The command lines that docs/other-languages.md gives for a language. */
async function commandsFor(language: string): Promise<string> {
  const page = await readFile(join(ROOT, 'docs', 'other-languages.md'), 'utf8');
  const section = page.split(/^## /m).find((text) => text.startsWith(`${language}\n`));
  // npx would look for buf in a project.
  return /```sh\n(.*?)```/s.exec(section!)![1]!.replaceAll('npx buf ', 'buf ');
}

describe('the recipe of docs/other-languages.md', () => {
  for (const { name, needs, quick } of LANGUAGES) {
    const missing = needs.find((command) => !has(command));
    const title = `for ${name} uploads, downloads and lists a file`;
    if (!quick && !FULL) {
      it.skip(`${title}: takes minutes, runs with npm run test:languages`, () => {});
    } else if (missing !== undefined) {
      it.skip(`${title}: ${missing[0]} is not installed`, () => {});
    } else {
      it(
        title,
        async () => {
          const commands = await commandsFor(name);
          const { stdout } = await run('/bin/sh', ['-e', '-c', commands], { cwd: dir, env });
          const id = /^uploaded ([a-z0-9]{15})$/m.exec(stdout)?.[1];
          const sent = await readFile(join(dir, 'README.md'));
          expect(stdout.split('\n')).toEqual(
            expect.arrayContaining([
              `uploaded ${id}`,
              `downloaded ${sent.length} bytes`,
              `listed ${id} README.md`,
              expect.stringMatching(/^refused (?:NOT_FOUND|NotFound) FILE_NOT_FOUND$/),
            ]),
          );
          expect((await readFile(join(dir, 'copy.md'))).equals(sent)).toBe(true);
          await rm(join(dir, 'copy.md'));
        },
        20 * 60_000,
      );
    }
  }
});
