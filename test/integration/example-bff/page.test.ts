import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Locator, Page } from 'playwright-core';
import { eventually } from '../../support/eventually.ts';
import { missing, startBrowserSuite, type BrowserSuite } from './support/browser-suite.ts';
import { cardOf, choose, fileOf, openPage, settled } from './support/page.ts';
import { Person } from './support/person.ts';
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
    await choose(page, fileOf('sunrise.png', 'image/png', picture(960, 720, 1)));
    await cardOf(page, 'sunrise.png').waitFor();
    const widthOf = (image: Locator) =>
      image.evaluate((one) => (one as unknown as { naturalWidth: number }).naturalWidth);
    // Not the file, but its variant.
    await eventually(async () => expect(await widthOf(page.locator('.card img').first())).toBe(480));

    // The answer with the large image waits until the placeholder is seen.
    const { promise: go, resolve: goOn } = Promise.withResolvers<void>();
    await page.route(/variant=page/, async (route) => {
      await go;
      await route.continue();
    });
    await cardOf(page, 'sunrise.png').click();
    const dialog = page.getByRole('dialog');
    const large = dialog.locator('img');
    await dialog.locator('img.placeholder').waitFor();
    expect(await large.getAttribute('style')).toContain('data:image/png');
    goOn();
    await eventually(async () => expect(await widthOf(large)).toBe(960));
    expect(await large.getAttribute('style')).toBeNull();
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

  /** Makes a page's connection slow enough for an upload to be in the middle of it. */
  async function slowDown(page: Page, bytesPerSecond: number): Promise<void> {
    const devtools = await page.context().newCDPSession(page);
    const throughput = { uploadThroughput: bytesPerSecond, downloadThroughput: -1 };
    await devtools.send('Network.emulateNetworkConditions', { offline: false, latency: 0, ...throughput });
  }

  const progressOf = (page: Page) =>
    page
      .getByRole('progressbar')
      .first()
      .getAttribute('aria-valuenow')
      .then((value) => Number(value));

  /** Waits until an upload has sent something and is not yet at its end. */
  const inTheMiddle = (page: Page) =>
    eventually(async () => {
      const percent = await progressOf(page);
      expect(percent > 5 && percent < 90).toBe(true);
    });

  /** The bytes that the service has for the only file of this name. */
  async function stored(user: string, name: string): Promise<Buffer> {
    const person = await Person.signedIn(suite.bff.url, user);
    const { json } = await person.ask('/api/files');
    const found = json.files.filter((file: { name: string }) => file.name === name);
    expect(found).toHaveLength(1);
    const { headers } = await person.ask(`/files/${found[0].id}`);
    return Buffer.from(await (await fetch(headers.get('location')!)).arrayBuffer());
  }

  it('shows progress, pauses, and goes on after the connection was cut', async () => {
    const { context, page } = await openPage(suite.browser, suite.bff.url, 'carl');
    const bytes = randomBytes(4 << 20);
    await slowDown(page, 1 << 20);
    await choose(page, fileOf('long.bin', 'application/octet-stream', bytes));
    await inTheMiddle(page);
    await page.getByRole('button', { name: 'Pause' }).first().click();
    await page.getByRole('button', { name: 'Resume' }).first().click();
    await context.setOffline(true);
    await page.getByText('You are offline.').first().waitFor();
    expect(await cardOf(page, 'long.bin').count()).toBe(0);
    await context.setOffline(false);
    await slowDown(page, -1);
    await cardOf(page, 'long.bin').waitFor({ timeout: 60_000 });
    expect((await stored('carl', 'long.bin')).equals(bytes)).toBe(true);
    await context.close();
  });

  it('takes a folder that is chosen, and files and folders that are dropped', async () => {
    const folder = join(suite.dir, 'holiday');
    await mkdir(join(folder, 'day one'), { recursive: true });
    await writeFile(join(folder, 'plan.txt'), 'plan');
    await writeFile(join(folder, 'day one', 'note.txt'), 'note');
    const { context, page, problems } = await openPage(suite.browser, suite.bff.url, 'kim');
    await page.locator('.uppy-Dashboard-input[webkitdirectory]').setInputFiles(folder);
    for (const name of ['plan.txt', 'note.txt']) await cardOf(page, name).waitFor();

    // A drag as the system sends it, not an event of a script.
    const devtools = await context.newCDPSession(page);
    await writeFile(join(suite.dir, 'dropped.txt'), 'dropped');
    await writeFile(join(folder, 'day one', 'later.txt'), 'later');
    const area = (await page.locator('#drop').boundingBox())!;
    const data = {
      items: [],
      files: [join(suite.dir, 'dropped.txt'), join(folder, 'day one')],
      dragOperationsMask: 1,
    };
    for (const type of ['dragEnter', 'dragOver', 'drop'] as const)
      await devtools.send('Input.dispatchDragEvent', {
        ...{ type, data, x: area.x + area.width / 2, y: area.y + area.height / 2 },
      });
    for (const name of ['dropped.txt', 'later.txt']) await cardOf(page, name).waitFor();
    expect((await stored('kim', 'later.txt')).toString()).toBe('later');
    expect(problems).toEqual([]);
    await context.close();
  });

  it('goes on after a reload, and after the tab was closed', async () => {
    const { context, page } = await openPage(suite.browser, suite.bff.url, 'dora');
    for (const [name, leave] of [
      ['reload.bin', async (left: Page) => (await left.reload(), left)],
      [
        'closed.bin',
        async (left: Page) => {
          await left.close();
          const next = await context.newPage();
          await next.goto(suite.bff.url);
          return next;
        },
      ],
    ] as const) {
      const bytes = randomBytes(4 << 20);
      const current = context.pages().at(-1) ?? page;
      await slowDown(current, 1 << 20);
      await choose(current, fileOf(name, 'application/octet-stream', bytes));
      await inTheMiddle(current);
      const after = await leave(current);
      await cardOf(after, name).waitFor({ timeout: 60_000 });
      expect((await stored('dora', name)).equals(bytes)).toBe(true);
    }
    await context.close();
  });

  it('lets two tabs upload at the same time without taking over from each other', async () => {
    const { context, page } = await openPage(suite.browser, suite.bff.url, 'emil');
    const other = await context.newPage();
    await slowDown(page, 1 << 20);
    const files = [randomBytes(3 << 20), randomBytes(1 << 20)] as const;
    await choose(page, fileOf('first.bin', 'application/octet-stream', files[0]));
    await inTheMiddle(page);
    await other.goto(suite.bff.url);
    await settled(other);
    expect(await other.locator('.uppy-Dashboard-Item').count()).toBe(0);
    await choose(other, fileOf('second.bin', 'application/octet-stream', files[1]));
    await cardOf(other, 'second.bin').waitFor();
    await cardOf(page, 'first.bin').waitFor({ timeout: 60_000 });
    expect((await stored('emil', 'first.bin')).equals(files[0])).toBe(true);
    expect((await stored('emil', 'second.bin')).equals(files[1])).toBe(true);
    await context.close();
  });

  it('lets a person whose sign-in has ended sign in again, and the upload goes on', async () => {
    const { context, page } = await openPage(suite.browser, suite.bff.url, 'fred');
    const bytes = randomBytes(3 << 20);
    await slowDown(page, 1 << 20);
    await choose(page, fileOf('patient.bin', 'application/octet-stream', bytes));
    await inTheMiddle(page);
    await context.setOffline(true);
    await context.clearCookies();
    await page.getByText('You are offline.').first().waitFor();
    await context.setOffline(false);
    await slowDown(page, -1);
    const dialog = page.getByRole('dialog', { name: 'Your sign-in has ended' });
    await dialog.waitFor({ timeout: 60_000 });
    const opening = context.waitForEvent('page');
    await dialog.getByRole('button', { name: 'Sign in again' }).click();
    const popup = await opening;
    await popup.getByLabel('Name').fill('fred');
    await popup.keyboard.press('Enter');
    await cardOf(page, 'patient.bin').waitFor({ timeout: 60_000 });
    expect(await dialog.isVisible()).toBe(false);
    expect((await stored('fred', 'patient.bin')).equals(bytes)).toBe(true);
    await context.close();
  });

  it('says what is wrong with a file, before and after it was sent', async () => {
    const { context, page } = await openPage(suite.browser, suite.bff.url, 'gina');
    await page.getByLabel('Picture', { exact: true }).check();
    await choose(page, fileOf('notes.txt', 'text/plain', Buffer.from('notes')));
    await page.locator('.toast', { hasText: 'notes.txt is not accepted as Picture: images only.' }).waitFor();
    await choose(page, fileOf('fake.png', 'image/png', Buffer.from('GIF89a is another format')));
    await page.locator('.toast', { hasText: /^fake.png: .*contains image.gif/ }).waitFor();
    // Screen readers are told too.
    await page.getByRole('alert').filter({ hasText: 'fake.png' }).first().waitFor();
    expect(await page.locator('.card').count()).toBe(0);
    // It is not sent again with the next file.
    await eventually(async () => expect(await page.locator('.uppy-Dashboard-Item').count()).toBe(0));
    await choose(page, fileOf('broken.png', 'image/png', Buffer.from('\x89PNG\r\n\x1a\nbroken', 'latin1')));
    const told = page.locator('.toast', { hasText: 'broken.png: The file is not what its name says, or' });
    await told.waitFor();
    expect(await page.locator('.toast', { hasText: 'fake.png' }).count()).toBe(1);
    await context.close();
  });

  it('searches by usage and owner, and hides what is not for this person', async () => {
    const hans = await Person.signedIn(suite.bff.url, 'hans');
    await hans.upload('private', 'private.txt', 'text/plain');
    await hans.upload(picture(64, 48, 3), 'public.png', 'image/png', 'picture');
    const { context, page } = await openPage(suite.browser, suite.bff.url, 'ines');
    await page.getByLabel('Owner').selectOption('person');
    await page.getByLabel('Id of the person').fill('hans');
    await page.keyboard.press('Enter');
    await cardOf(page, 'public.png').waitFor();
    expect(await page.locator('.card').count()).toBe(1);
    await page.getByLabel('Documents', { exact: true }).check();
    await page.getByText('No file meets these conditions.').waitFor();
    await page.reload();
    await page.getByText('No file meets these conditions.').waitFor();
    const { id } = (await hans.ask('/api/files?usage=document')).json.files[0];
    const refused = await page.goto(`${suite.bff.url}/files/${id}`);
    expect(refused?.status()).toBe(403);
    await context.close();
  });

  it('is used by the keyboard alone', async () => {
    const jan = await Person.signedIn(suite.bff.url, 'jan');
    for (const name of ['one.txt', 'two.txt']) await jan.upload(name, name, 'text/plain');
    const { context, page } = await openPage(suite.browser, suite.bff.url, 'jan');
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to the files');
    await page.keyboard.press('Enter');
    const focused = () => page.evaluate<string>('document.activeElement.closest(".card")?.textContent ?? ""');
    for (let i = 0; i < 12 && !(await focused()).includes('one.txt'); i++) await page.keyboard.press('Tab');
    expect(await focused()).toContain('one.txt');
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').getByLabel('Title').waitFor();
    await page.keyboard.press('Escape');
    expect(await focused()).toContain('one.txt');
    await context.close();
  });
});
