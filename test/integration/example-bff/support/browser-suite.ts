import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { chromiumProgram, startChromium } from '../../../support/chromium.ts';
import { ROOT } from '../../../support/install.ts';
import { makeDir, removeDir, run } from '../../../support/process.ts';
import { settingsFor, startBff, startDevelopmentService, type Bff, type DevelopmentService } from './bff.ts';

const found = await chromiumProgram();

/** Why there is no browser, for the name of a suite that is skipped. */
export const missing = 'missing' in found ? found.missing : undefined;

/** A service, a BFF with its page, and a browser. */
export interface BrowserSuite {
  readonly dir: string;
  readonly development: DevelopmentService;
  /** Settings for one more BFF. */
  readonly settings: Record<string, string>;
  readonly bff: Bff;
  readonly browser: Browser;
  dispose(): Promise<void>;
}

/** Builds the page, and starts everything. */
export async function startBrowserSuite(env: Record<string, string> = {}): Promise<BrowserSuite> {
  const dir = await makeDir('example-page');
  const pageDir = join(dir, 'page');
  await run(process.execPath, [join(ROOT, 'examples', 'bff', 'build.ts')], {
    env: { BFF_PAGE_DIR: pageDir },
  });
  const development = await startDevelopmentService(dir, env);
  const settings = { ...settingsFor(development), BFF_PAGE_DIR: pageDir };
  const bff = await startBff(settings);
  const browser = await startChromium((found as { program: string }).program);
  return {
    ...{ dir, development, settings, bff, browser },
    async dispose() {
      await browser.close();
      await bff.dispose();
      await development.service.dispose();
      await removeDir(dir);
    },
  };
}
