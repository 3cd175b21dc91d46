/** Opens the web UI in a real browser and notes everything the browser complains about. */

import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { onTestFinished } from 'vitest';
import { buildWeb, webIsStale } from '../../src/local/webBuild.ts';
import { root, type TestApp } from './app.ts';
import { findTool } from './tools.ts';

export interface TestPage {
  page: Page;
  context: BrowserContext;
  /** Errors of scripts, console errors, violations of the content security policy. */
  complaints: string[];
}

/** Leads to this machine without being called localhost. */
export const foreignName = 'hub.test';
export const desktop = { width: 1440, height: 900 };
export const phone = { width: 390, height: 844 };

/** Chromium without anything that talks to the outside; closes itself. Builds the web UI if it is stale. */
export async function launchBrowser(whenDone: (close: () => Promise<void>) => void): Promise<Browser> {
  if (await webIsStale(root)) await buildWeb(root);
  const browser = await chromium.launch({
    executablePath: findTool('chromium'),
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      // A name that is not loopback, as the page sees it.
      `--host-resolver-rules=MAP ${foreignName} 127.0.0.1`,
    ],
  });
  whenDone(() => browser.close());
  return browser;
}

/** A person's own browser window; closes with the test, because a window that nobody looks at still draws. */
export async function openPage(browser: Browser, options: BrowserContextOptions = {}): Promise<TestPage> {
  const context = await browser.newContext({ viewport: desktop, ...options });
  onTestFinished(() => context.close());
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(error.stack ?? error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.on('dialog', (dialog) => {
    complaints.push(`a script opened a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  return { page, context, complaints };
}

/** Signs in through the one-time link, as after the first start, and goes to `path`. */
export async function enter(hub: TestApp, page: Page, path = '/'): Promise<void> {
  await page.goto(`${hub.url}/sign-in#${(await hub.app.newSignInLink()).split('#')[1]}`);
  const later = page.getByRole('button', { name: 'Later' });
  const fleet = page.getByRole('heading', { name: 'Fleet' });
  await later.or(fleet).waitFor();
  if (await later.isVisible()) await later.click();
  await fleet.waitFor();
  if (path !== '/') await page.goto(hub.url + path);
}
