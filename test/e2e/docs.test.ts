/** The page that describes REST works in a browser under its content policy. */

import { chromium } from 'playwright-core';
import { expect, onTestFinished } from 'vitest';
import { startTestApp } from '../support/app.ts';
import { needs } from '../support/needs.ts';
import { findTool } from '../support/tools.ts';

needs('chromium').test(
  'every route is shown, nothing is blocked, nothing comes from elsewhere',
  async () => {
    const hub = await startTestApp(onTestFinished);
    const browser = await chromium.launch({ executablePath: findTool('chromium'), args: ['--no-sandbox'] });
    onTestFinished(() => browser.close());
    const page = await browser.newPage();
    const complaints: string[] = [];
    const foreign: string[] = [];
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on(
      'request',
      (request) => request.url().startsWith(hub.config.publicUrl) || request.url().startsWith('data:') || foreign.push(request.url()),
    );
    await page.goto(`${hub.config.publicUrl}/docs`);
    const paths = Object.values(((await (await fetch(`${hub.url}/openapi.json`)).json()) as { paths: Record<string, object> }).paths);
    const count = paths.reduce((sum, methods) => sum + Object.keys(methods).length, 0);
    const blocks = page.locator('.opblock');
    await blocks.nth(count - 1).waitFor();
    expect(await blocks.count()).toBe(count);
    await page.getByText('The hosts one may see').click();
    await page.locator('.opblock.is-open .responses-wrapper').waitFor();
    expect(complaints).toEqual([]);
    expect(foreign).toEqual([]);
  },
  60_000,
);
