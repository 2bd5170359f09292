import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../../support/eventually.ts';
import { missing, startBrowserSuite, type BrowserSuite } from './support/browser-suite.ts';
import { cardOf, choose, fileOf, openPage } from './support/page.ts';
import { picture } from './support/picture.ts';

const describeInChromium = missing === undefined ? describe : describe.skip;

describeInChromium(`the page in a browser${missing === undefined ? '' : ` (${missing})`}`, () => {
  let suite: BrowserSuite;

  beforeAll(async () => {
    suite = await startBrowserSuite();
  });

  afterAll(() => suite?.dispose());

  it('uploads what a person chooses, and shows, changes, shares, deletes and restores it', async () => {
    const { context, page, problems } = await openPage(suite.browser, suite.bff.url, 'ann');
    await page.getByText('Nothing here yet').waitFor();
    await page.getByLabel('Picture', { exact: true }).check();
    await choose(page, fileOf('sunrise.png', 'image/png', picture(320, 240, 1)));
    await cardOf(page, 'sunrise.png').waitFor();
    const image = page.locator('.card img').first();
    await eventually(async () =>
      expect(await image.evaluate((one) => (one as unknown as { naturalWidth: number }).naturalWidth)).toBe(
        320,
      ),
    );

    await cardOf(page, 'sunrise.png').click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Title').fill('The first light');
    await dialog.getByRole('button', { name: 'Save changes' }).click();
    await page.locator('.card', { hasText: 'The first light' }).waitFor();

    await cardOf(page, 'The first light').click();
    await dialog.getByRole('button', { name: 'Create link' }).click();
    const link = await dialog.getByLabel('Link', { exact: true }).inputValue();
    const opened = await fetch(link);
    expect([opened.status, opened.headers.get('content-type')]).toEqual([200, 'image/png']);

    await dialog.getByRole('button', { name: 'Delete' }).click();
    await page.getByText('Nothing here yet').waitFor();
    await page.getByRole('button', { name: 'Undo' }).click();
    await cardOf(page, 'The first light').waitFor();
    expect(problems).toEqual([]);
    await context.close();
  });
});
