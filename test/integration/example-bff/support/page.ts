import { expect } from '@jest/globals';
import type { Browser, BrowserContext, Locator, Page } from 'playwright-core';

/** Opens the page for a person who has signed in, in a browser of their own. */
export async function openPage(
  browser: Browser,
  url: string,
  user: string,
  options: Parameters<Browser['newContext']>[0] = {},
): Promise<{ context: BrowserContext; page: Page; problems: string[] }> {
  const context = await browser.newContext({
    locale: 'en-GB',
    viewport: { width: 1280, height: 860 },
    ...options,
  });
  // A busy machine draws late; what never comes still fails.
  context.setDefaultTimeout(90_000);
  const page = await context.newPage();
  const problems = watchProblems(page);
  await signIn(page, url, user);
  return { context, page, problems };
}

/** Signs in by the form for development. */
export async function signIn(page: Page, url: string, user: string): Promise<void> {
  await page.goto(`${url}/sign-in`);
  await page.locator('#user').fill(user);
  await page.locator('form .primary').click();
  await page.locator('main#files').waitFor();
  await settled(page);
}

/** Waits until the list has been read. */
export async function settled(page: Page): Promise<void> {
  await page.locator('section.files[aria-busy="false"]').waitFor();
}

/** What the browser itself complains about: errors of scripts, and what the content security policy refused. */
export function watchProblems(page: Page): string[] {
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('console', (message) => {
    const text = message.text();
    if (message.type() === 'error' && /Content Security Policy|Uncaught/.test(text)) problems.push(text);
  });
  return problems;
}

/** A file for the input of the page. */
export function fileOf(name: string, mimeType: string, buffer: Buffer) {
  return { name, mimeType, buffer };
}

/** Chooses files for an upload. */
export async function choose(page: Page, ...files: ReturnType<typeof fileOf>[]): Promise<void> {
  const input = page.locator('.uppy-Dashboard-input').first();
  // While there are files, the input is behind a button.
  const more = page.locator('.uppy-DashboardContent-addMore');
  if ((await more.count()) > 0) await more.click();
  await input.setInputFiles(files);
}

/** The card of a file, by its title or name. */
export function cardOf(page: Page, name: string): Locator {
  return page.getByRole('button', { name: `Open ${name}` });
}

/** Runs axe over the page; fails with what it finds. */
export async function expectAccessible(page: Page, axeSource: string): Promise<void> {
  await page.evaluate(axeSource);
  const found = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: { run(): Promise<{ violations: Violation[] }> } };
    type Violation = { id: string; help: string; nodes: { html: string; failureSummary: string }[] };
    const { violations } = await axe.run();
    return violations.map(({ id, help, nodes }) => ({
      ...{ id, help },
      nodes: nodes.map(({ html, failureSummary }) => `${html.slice(0, 300)} ${failureSummary}`),
    }));
  });
  expect(found).toEqual([]);
}
