import { spawn } from 'node:child_process';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FLAGS, ROOT } from '../install.ts';
import { programEnv } from '../process.ts';

/** One step of docs/migration.md with its commands. */
export interface RunbookStep {
  readonly title: string;
  /** Blocks of shell commands, in order. */
  readonly commands: readonly string[];
  /** Blocks that undo the step: those after "How to go back". */
  readonly undo: readonly string[];
}

/** Reads the numbered steps of docs/migration.md. */
export async function readRunbook(): Promise<readonly RunbookStep[]> {
  const page = await readFile(join(ROOT, 'docs', 'migration.md'), 'utf8');
  return page
    .split(/^## /m)
    .filter((section) => /^\d+\. /.test(section))
    .map((section) => {
      const [before = '', after = ''] = section.split(/^How to go back:/m);
      return { title: section.split('\n', 1)[0]!, commands: blocksOf(before), undo: blocksOf(after) };
    });
}

function blocksOf(text: string): string[] {
  return [...text.matchAll(/^```sh\n(.*?)^```/gms)].map(([, block]) => block!.trim());
}

/** How a block of commands ended. */
export interface Ended {
  readonly code: number;
  /** Standard output and error. */
  readonly output: string;
}

/** A shell whose environment lasts from block to block, with `asset-service` on its path. */
export class RunbookShell {
  readonly #dir: string;
  #env: Readonly<Record<string, string>>;

  private constructor(dir: string, env: Readonly<Record<string, string>>) {
    [this.#dir, this.#env] = [dir, env];
  }

  /** @param dir - working directory of the commands */
  static async open(dir: string, env: Readonly<Record<string, string>>): Promise<RunbookShell> {
    const program = join(dir, 'asset-service');
    const words = [process.execPath, ...FLAGS, join(ROOT, 'src', 'main.ts')].map((word) => `'${word}'`);
    await writeFile(program, `#!/bin/sh\nexec ${words.join(' ')} "$@"\n`);
    await chmod(program, 0o755);
    const base = programEnv();
    const given = Object.entries({ ...base, ...env }).filter(
      (entry): entry is [string, string] => entry[1] !== undefined,
    );
    return new RunbookShell(dir, { ...Object.fromEntries(given), PATH: `${dir}:${base.PATH}` });
  }

  /** The environment that the blocks so far have left. */
  get env(): Readonly<Record<string, string>> {
    return this.#env;
  }

  /** Sets a variable, as the reader of the page sets a placeholder. */
  set(name: string, value: string): void {
    this.#env = { ...this.#env, [name]: value };
  }

  /** Runs a block; its exit code is that of its last command. */
  async run(block: string): Promise<Ended> {
    const left = join(this.#dir, 'environment');
    const script = `${block}\ncode=$?\nenv -0 > '${left}'\nexit $code`;
    const child = spawn('sh', ['-c', script], { cwd: this.#dir, env: this.#env });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    }
    child.stdin.end();
    const code = await new Promise<number>((resolve) =>
      child.once('close', (status) => resolve(status ?? -1)),
    );
    const pairs = (await readFile(left, 'utf8')).split('\0').filter((pair) => pair.includes('='));
    this.#env = Object.fromEntries(
      pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
    );
    return { code, output };
  }
}
