import { execFileSync } from 'node:child_process';
import { chromium, type Browser } from 'playwright-core';
import { serverProgram } from './install.ts';

/**
 * Path of Chromium: `ASSET_TEST_CHROMIUM_BIN`, that of the machine, or one extracted from Debian's packages into `.cache/servers`.
 * Otherwise why there is none.
 */
export async function chromiumProgram(): Promise<
  { readonly program: string } | { readonly missing: string }
> {
  try {
    return {
      program: process.env['ASSET_TEST_CHROMIUM_BIN'] ?? installed() ?? (await serverProgram('chromium')),
    };
  } catch (error) {
    return { missing: `no Chromium, and none from Debian's packages: ${String(error).split('\n')[0]}` };
  }
}

/** Starts a headless Chromium; close it at the end of the test. */
export function startChromium(program: string): Promise<Browser> {
  return chromium.launch({
    executablePath: program,
    // The tests may run as root, where the sandbox does not start.
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
  });
}

function installed(): string | undefined {
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    try {
      return execFileSync('which', [name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    } catch {
      // Not this one.
    }
  }
  return undefined;
}
