import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { chmod, cp, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from '../support/install.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';

const run = promisify(execFile);

/**
 * True to build the programs whose dependencies take minutes the first time, as `npm run test:languages` and a build
 * server do.
 */
const FULL = process.env['ASSET_TEST_LANGUAGES'] === 'full' || process.env['CI'] === 'true';

/** The programs of the page, by section; `block` is the number of its block of commands in the section. */
const LANGUAGES = [
  { name: 'Python', needs: [['python3', '-m', 'venv', '--help']], quick: true },
  { name: 'Go', client: 'grpc-go', needs: [['go', 'version']], quick: true },
  { name: 'Go', client: 'connect-go', block: 1, needs: [['go', 'version']], quick: true },
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
  // Built once per machine; the example of Rust has many dependencies.
  CARGO_TARGET_DIR: join(ROOT, '.cache', 'rust'),
};

/** A folder as the page wants it: the examples, a file to send, and the unpacked archive of the contract. */
beforeAll(async () => {
  dir = await makeDir('languages');
  service = await startService();
  env['ASSET_SERVICE_URL'] = service.url;
  env['ASSET_SERVICE_ADDRESS'] = service.url.slice('http://'.length);
  await cp(join(ROOT, 'README.md'), join(dir, 'README.md'));
  const generated = /(?:^|\/)(?:gen|target|asset_api|__pycache__|node_modules|dist)$/;
  await cp(join(ROOT, 'examples'), join(dir, 'examples'), {
    recursive: true,
    filter: (source) => !generated.test(source.slice(ROOT.length)),
  });
  await cp(join(ROOT, 'gen', 'go'), join(dir, 'gen', 'go'), { recursive: true });
  const script = join(ROOT, 'scripts', 'pack-proto.js');
  const archive = execFileSync(process.execPath, [script, dir], { env, encoding: 'utf8' }).trim();
  execFileSync('tar', ['-xzf', archive, '-C', dir]);
}, 120_000);
afterAll(async () => {
  await service.dispose();
  await removeDir(dir);
});

/** A block of command lines that docs/other-languages.md gives for a language. */
async function commandsFor(language: string, block: number): Promise<string> {
  const page = await readFile(join(ROOT, 'docs', 'other-languages.md'), 'utf8');
  const section = page.split(/^## /m).find((text) => text.startsWith(`${language}\n`));
  const blocks = [...section!.matchAll(/```sh\n(.*?)```/gs)];
  return blocks[block]![1]!;
}

describe('the recipe of docs/other-languages.md', () => {
  for (const { name, client, block = 0, needs, quick } of LANGUAGES) {
    const missing = needs.find((command) => !has(command));
    const title = `for ${client ?? name} uploads, downloads and lists a file`;
    if (!quick && !FULL) {
      it.skip(`${title}: takes minutes, runs with npm run test:languages`, () => {});
    } else if (missing !== undefined) {
      it.skip(`${title}: ${missing[0]} is not installed`, () => {});
    } else {
      it(
        title,
        async () => {
          const commands = await commandsFor(name, block);
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

/** The templates of examples/codegen: what they need, and a file that they generate. */
const TEMPLATES = [
  { folder: 'typescript', needs: 'protoc-gen-es', file: 'gen/asset/v1/asset_service_pb.ts' },
  { folder: 'go', needs: 'go', file: 'gen/asset/v1/asset_service_grpc.pb.go' },
  { folder: 'java', needs: 'mvn', full: true, file: 'gen/asset/v1/AssetServiceGrpc.java' },
  { folder: 'rust', needs: 'protoc-gen-tonic', file: 'gen/asset/v1/asset.v1.tonic.rs' },
  { folder: 'csharp', needs: 'grpc_csharp_plugin', file: 'gen/Asset/V1/AssetServiceGrpc.cs' },
];

const isInstalled = (program: string) =>
  spawnSync('/bin/sh', ['-c', 'command -v "$1"', 'which', program], { env }).status === 0;

/** The compiler and the plugin for Java, which Maven Central has as programs; returns their folder. */
async function fetchJavaPlugins(): Promise<string> {
  const bin = join(dir, 'java-plugins');
  const pom = await readFile(join(ROOT, 'examples', 'java', 'pom.xml'), 'utf8');
  const protobuf = /<protobuf.version>(.*)<\/protobuf.version>/.exec(pom)![1]!;
  const plugin = /protoc-gen-grpc-java:([\d.]+):exe/.exec(pom)![1]!;
  const classifier = `linux-${process.arch === 'arm64' ? 'aarch_64' : 'x86_64'}`;
  for (const [artifact, version, program] of [
    ['com.google.protobuf:protoc', protobuf, 'protoc'],
    ['io.grpc:protoc-gen-grpc-java', plugin, 'protoc-gen-grpc-java'],
  ]) {
    const args = [`-Dartifact=${artifact}:${version}:exe:${classifier}`, `-DoutputDirectory=${bin}`];
    await run('mvn', ['--quiet', 'dependency:copy', ...args], { cwd: dir, env });
    const fetched = `${artifact!.split(':')[1]}-${version}-${classifier}.exe`;
    await rename(join(bin, fetched), join(bin, program!));
    await chmod(join(bin, program!), 0o755);
  }
  return bin;
}

/** Compiles what a template generated in a folder. */
const COMPILERS: Record<string, (folder: string) => Promise<unknown>> = {
  async go(folder) {
    // The same versions as the module of the service.
    const module = await readFile(join(ROOT, 'gen', 'go', 'go.mod'), 'utf8');
    await writeFile(join(folder, 'go.mod'), module.replace(/^module .*$/m, 'module example.com/my-program'));
    await cp(join(ROOT, 'gen', 'go', 'go.sum'), join(folder, 'go.sum'));
    await run('go', ['vet', './gen/...'], { cwd: folder, env });
  },
  async typescript(folder) {
    await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
    const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
    const options = ['--strict', '--noEmit', '--module', 'nodenext', '--target', 'es2022'];
    await run(process.execPath, [tsc, ...options, TEMPLATES[0]!.file], { cwd: folder });
  },
};

describe('the template of examples/codegen', () => {
  for (const { folder, needs, file, full = false } of TEMPLATES) {
    const title = `for ${folder} generates code from the archive of the contract`;
    if (full && !FULL) {
      it.skip(`${title}: runs with npm run test:languages`, () => {});
    } else if (!isInstalled(needs)) {
      it.skip(`${title}: ${needs} is not installed`, () => {});
    } else {
      it(
        title,
        async () => {
          const work = join(dir, 'codegen', folder);
          await mkdir(work, { recursive: true });
          await symlink(join(dir, 'asset-proto'), join(work, 'asset-proto'));
          const bin = folder === 'java' ? await fetchJavaPlugins() : dir;
          const PATH = [bin, env['PATH']].join(delimiter);
          const template = join(ROOT, 'examples', 'codegen', folder, 'buf.gen.yaml');
          await run('buf', ['generate', '--template', template], { cwd: work, env: { ...env, PATH } });
          expect(await readFile(join(work, file), 'utf8')).toContain('DownloadFile');
          await COMPILERS[folder]?.(work);
        },
        10 * 60_000,
      );
    }
  }

  it('exists for every one that is tested, and the page names it', async () => {
    const page = await readFile(join(ROOT, 'docs', 'other-languages.md'), 'utf8');
    const folders = await readdir(join(ROOT, 'examples', 'codegen'));
    expect(folders.sort()).toEqual(TEMPLATES.map(({ folder }) => folder).sort());
    for (const folder of folders) expect(page).toContain(`(../examples/codegen/${folder}/buf.gen.yaml)`);
  });
});
