import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import sharp from 'sharp';
import { missing, startBrowserSuite, type BrowserSuite } from './support/browser-suite.ts';
import { cardOf, choose, expectAccessible, fileOf, openPage } from './support/page.ts';
import { Person } from './support/person.ts';
import { picture } from './support/picture.ts';

const describeInChromium = missing === undefined ? describe : describe.skip;

/** A folder for pictures of the page, such as docs/images; none are made without it. */
const PICTURES = process.env['ASSET_TEST_SCREENSHOTS'];

/** The pictures that docs/bff.md shows. */
const SHOWN = ['light', 'dark-details', 'phone-upload'];

/** The same page on different screens. */
const SCREENS = {
  light: { colorScheme: 'light', viewport: { width: 1280, height: 800 } },
  dark: { colorScheme: 'dark', viewport: { width: 1280, height: 800 } },
  phone: { colorScheme: 'light', viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true },
} as const;

describeInChromium(`how the page looks and reads${missing === undefined ? '' : ` (${missing})`}`, () => {
  let suite: BrowserSuite;
  let axe: string;

  beforeAll(async () => {
    suite = await startBrowserSuite();
    axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
    const ann = await Person.signedIn(suite.bff.url, 'ann');
    await ann.upload('Minutes of the meeting', 'Minutes March.txt', 'text/plain');
    await ann.upload('%PDF-1.7\n', 'Contract 2026.pdf', 'application/pdf');
    const names = ['Lake at dawn', 'Hills', 'Desert road', 'North coast', 'Vineyard', 'High plateau'];
    for (const [index, name] of names.entries())
      await ann.upload(picture(640, 480, index + 1), `${name}.png`, 'image/png', 'picture');
  });

  afterAll(() => suite?.dispose());

  async function keep(page: Page, name: string): Promise<void> {
    if (PICTURES === undefined || !SHOWN.includes(name)) return;
    await mkdir(PICTURES, { recursive: true });
    const picture = sharp(await page.screenshot({ animations: 'disabled' }));
    await picture.webp({ quality: 82 }).toFile(join(PICTURES, `bff-${name}.webp`));
  }

  it.each(Object.entries(SCREENS))(
    'is clean to axe and without complaints of the browser: %s',
    async (name, screen) => {
      const { context, page, problems } = await openPage(suite.browser, suite.bff.url, 'ann', screen);
      await page.waitForLoadState('networkidle');
      await expectAccessible(page, axe);
      // Nothing is cut off or wider than the screen.
      expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true);
      await keep(page, name);

      await cardOf(page, 'Lake at dawn.png').click();
      await page.getByRole('button', { name: 'Create link' }).click();
      await page.getByLabel('Link', { exact: true }).waitFor();
      await expectAccessible(page, axe);
      await keep(page, `${name}-details`);
      await page.getByRole('button', { name: 'Close' }).click();

      // A file that is refused before anything is sent, and one that waits.
      await page.getByLabel('Picture', { exact: true }).check();
      await context.setOffline(true);
      await choose(page, fileOf('notes.txt', 'text/plain', Buffer.from('notes')));
      await choose(page, fileOf('Harbour.png', 'image/png', picture(320, 240, 9)));
      await page.locator('.uppy-Dashboard-Item').waitFor();
      await page.locator('.banner').waitFor();
      await expectAccessible(page, axe);
      await keep(page, `${name}-upload`);
      await context.setOffline(false);
      expect(problems).toEqual([]);
      await context.close();
    },
  );

  it('signs in on a page that is clean to axe, in the language of the browser', async () => {
    const context = await suite.browser.newContext({ locale: 'de-DE' });
    const page = await context.newPage();
    await page.goto(suite.bff.url);
    await page.getByText('Melden Sie sich an, um Ihre Dateien zu sehen').waitFor();
    await expectAccessible(page, axe);
    await page.getByRole('link', { name: 'Anmelden' }).click();
    await page.getByLabel('Name').waitFor();
    await expectAccessible(page, axe);
    await keep(page, 'sign-in');
    await page.getByLabel('Name').fill('ann');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Ihre Dateien' }).waitFor();
    expect(await page.evaluate('document.documentElement.lang')).toBe('de');
    await page.getByLabel('Sprache').selectOption('en');
    await page.getByRole('heading', { name: 'Your files' }).waitFor();
    await context.close();
  });
});
