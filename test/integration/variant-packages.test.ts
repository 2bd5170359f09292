import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { cp, mkdir, readdir, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { clientOf, upload } from '../e2e/support/calls.ts';
import { endOf } from '../e2e/support/cli.ts';
import { failureOf } from '../e2e/support/failures.ts';
import { eventually } from '../support/eventually.ts';
import { ROOT } from '../support/install.ts';
import { makeDir, programEnv, removeDir } from '../support/process.ts';
import { startService } from '../support/service.ts';
import { spawn } from 'node:child_process';

const IMAGE = { create: { width: 20, height: 20, channels: 3, background: '#336699' } } as const;
const WITH_VARIANTS = { default: { variants: { thumb: { width: 8, format: 'webp' } } } };

/** Packages that the test takes away from a copy of the program; the native binary of sharp is one. */
const PACKAGES = ['sharp', '@img', '@hyzyla', 'thumbhash'] as const;

describe('a package that makes variants', () => {
  let dir: string;
  let root: string;

  beforeAll(async () => {
    dir = await makeDir('variant-packages');
    root = join(dir, 'program');
    const modules = join(root, 'node_modules');
    await mkdir(modules, { recursive: true });
    await cp(join(ROOT, 'package.json'), join(root, 'package.json'));
    for (const name of ['src', 'bin']) await cp(join(ROOT, name), join(root, name), { recursive: true });
    for (const name of await readdir(join(ROOT, 'node_modules'))) {
      const from = join(ROOT, 'node_modules', name);
      // A package finds its own dependencies beside its real path.
      const isOwn = (PACKAGES as readonly string[]).includes(name);
      await (isOwn
        ? cp(from, join(modules, name), { recursive: true, dereference: true })
        : symlink(from, join(modules, name)));
    }
    await writeFile(join(dir, 'policies.json'), JSON.stringify(WITH_VARIANTS));
  });

  afterAll(() => removeDir(dir));

  const env = (policies = 'policies.json') => ({
    ASSET_DATA_DIR: join(dir, 'data'),
    ASSET_POLICY_FILE: join(dir, policies),
  });

  /** Runs `work` while something of the program is away. */
  async function without(path: string, work: () => Promise<void>): Promise<void> {
    const from = join(root, 'node_modules', path);
    await rename(from, `${from}.away`);
    try {
      await work();
    } finally {
      await rename(`${from}.away`, from);
    }
  }

  const command = (...args: string[]) =>
    endOf(
      spawn(process.execPath, [join(root, 'src', 'main.ts'), ...args], {
        cwd: dir,
        env: { ...programEnv(), ...env(), ASSET_LISTEN: '127.0.0.1:0' },
      }),
    );

  it.each([
    ['sharp', 'sharp'],
    ['@img', 'sharp'],
    ['@hyzyla/pdfium', '@hyzyla/pdfium'],
    ['@hyzyla/pdfium/dist/pdfium.wasm', '@hyzyla/pdfium'],
    ['thumbhash', 'thumbhash'],
  ])('is named to the operator, at start and by config --check, without %s', async (path, name) => {
    await without(path, async () => {
      for (const args of [...(path === '@img' ? [['serve']] : []), ['config', '--check']]) {
        const { code, stderr } = await command(...args);
        expect(code).toBe(1);
        expect(stderr).toMatch(/ASSET_POLICY_FILE: .*npm ci/);
        expect(stderr).toContain(`the package ${name} `);
        expect(stderr).not.toMatch(/^\s+at /m);
      }
    });
  });

  it('that goes while the service runs gives UNAVAILABLE, and the log names it', async () => {
    const service = await startService(env(), { root });
    try {
      const client = clientOf(service.url);
      const { id } = await upload(client, await sharp(IMAGE).png().toBuffer());
      const ask = () => client.getFileUrl({ source: { case: 'fileId', value: id }, variant: 'thumb' });
      await without('@img', async () => {
        expect(await failureOf(ask())).toMatchObject({
          ...{ code: 'UNAVAILABLE', reason: 'VARIANTS_UNAVAILABLE', retryMs: 5_000 },
          message: expect.not.stringMatching(/sharp|npm/),
        });
        expect(service.log()).toContain('the package sharp cannot be loaded');
      });
      await eventually(async () => expect((await ask()).contentType).toBe('image/webp'));
    } finally {
      await service.dispose();
    }
  });

  it('that is missing keeps new policies from holding, not the service from starting', async () => {
    await writeFile(join(dir, 'none.json'), JSON.stringify({ default: {} }));
    await without('@img', async () => {
      const service = await startService(env('none.json'), { root });
      try {
        await writeFile(join(dir, 'none.json'), JSON.stringify(WITH_VARIANTS));
        await eventually(() =>
          expect(service.logLines()).toContainEqual(
            expect.objectContaining({
              level: 50,
              err: expect.objectContaining({ message: expect.stringContaining('the package sharp') }),
            }),
          ),
        );
        const client = clientOf(service.url);
        const { id } = await upload(client, await sharp(IMAGE).png().toBuffer());
        expect(
          await failureOf(client.getFileUrl({ source: { case: 'fileId', value: id }, variant: 'thumb' })),
        ).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID' });
      } finally {
        await service.dispose();
      }
    });
  });
});
