import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { ROOT } from '../support/install.ts';
import { makeDir, removeDir } from '../support/process.ts';

const env = {
  ...process.env,
  PATH: [join(ROOT, 'node_modules', '.bin'), process.env['PATH']].join(delimiter),
};

describe('the options of the contract for other languages', () => {
  // The check of compatibility does not hold them.
  it.each(globSync('**/*.proto', { cwd: join(ROOT, 'proto') }))('stand in %s', (name) => {
    const text = readFileSync(join(ROOT, 'proto', name), 'utf8');
    const options = [...text.matchAll(/^option (.*);$/gm)].map(([, option]) => option);
    expect(options).toEqual([
      'csharp_namespace = "Asset.V1"',
      'go_package = "asset-service/gen/go/asset/v1;assetv1"',
      'java_multiple_files = true',
      'java_package = "asset.v1"',
    ]);
  });
});

describe('the archive of the contract', () => {
  let dir: string;
  beforeAll(async () => {
    dir = await makeDir('proto-package');
    const script = join(ROOT, 'scripts', 'pack-proto.js');
    const archive = execFileSync(process.execPath, [script, dir], { env, encoding: 'utf8' }).trim();
    execFileSync('tar', ['-xzf', archive, '-C', dir]);
  });
  afterAll(() => removeDir(dir));

  it('holds all protos and all that they import, and the licence', () => {
    const folder = join(dir, 'asset-proto');
    const protos = globSync('**/*.proto', { cwd: folder });
    expect(protos).toEqual(expect.arrayContaining(globSync('**/*.proto', { cwd: join(ROOT, 'proto') })));
    const imports = protos.flatMap((name) =>
      [...readFileSync(join(folder, name), 'utf8').matchAll(/^import "(.*)";$/gm)].map(([, path]) => path!),
    );
    // Those come with every compiler.
    expect(protos).toEqual(
      expect.arrayContaining(imports.filter((path) => !path.startsWith('google/protobuf/'))),
    );
    expect(protos).toContain('google/rpc/error_details.proto');
    expect(readFileSync(join(folder, 'LICENSE'), 'utf8')).toBe(readFileSync(join(ROOT, 'LICENSE'), 'utf8'));
  });

  it('builds by itself', () => {
    const files = execFileSync('buf', ['build', 'asset-proto', '-o', '-#format=json'], {
      env,
      cwd: dir,
      encoding: 'utf8',
      maxBuffer: 2 ** 26,
    });
    expect(files).toContain('"AssetService"');
  });
});
