/** The web UI in a real browser, against a real hub with this machine's agent. */

import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, vi } from 'vitest';
import { startLocalAgent } from '../../src/local/localAgent.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { needs } from '../support/needs.ts';
import { enter, foreignName, launchBrowser, openPage, phone } from '../support/page.ts';
import { until } from '../support/until.ts';

const xss = [
  '<img src=x onerror=alert(1)>',
  '<script>alert(1)</script>',
  '"><svg onload=alert(1)>',
  '[x](javascript:alert(1)) ![y](javascript:alert(2))',
  '<iframe srcdoc="<script>alert(1)</script>"></iframe>',
  '[a](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)',
  '{{constructor.constructor("alert(1)")()}} ${alert(1)}',
  '<math><mtext></mtext><a xlink:href="javascript:alert(1)">m</a></math>',
];

/** A function that runs in the page; made of text, because the tests' own types know no DOM. */
// oxlint-disable-next-line typescript/no-implied-eval -- the text stands in this file
const inPage = <R>(text: string) => new Function('given', `return (${text})(given)`) as (given: unknown) => R;

const inkOfCanvas = inPage<number>(`(canvas) => {
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  return data.reduce((sum, value, index) => sum + value * (index % 251), 0);
}`);
const withoutName = inPage<string[]>(`(all) => all
  .filter((one) => one.checkVisibility({ visibilityProperty: true }))
  .filter((one) => !(one.getAttribute('aria-label') || one.textContent.trim() || one.labels?.length > 0 || one.title))
  .map((one) => one.outerHTML.slice(0, 120))`);
/** Counts the invisible frame that some small controls have around them. */
const smallerThanAFinger = inPage<string[]>(`(all) => all
  .filter((one) => one.checkVisibility() && !one.disabled)
  .filter((one) => {
    const { width, height } = one.getBoundingClientRect();
    const frame = getComputedStyle(one, '::after');
    const top = frame.content === 'none' ? 0 : Math.max(0, -Number.parseFloat(frame.top));
    const left = frame.content === 'none' ? 0 : Math.max(0, -Number.parseFloat(frame.left));
    return height + 2 * top < 44 || width + 2 * left < 40;
  })
  .map((one) => one.outerHTML.slice(0, 120))`);

needs('chromium', 'linux').describe('the web UI', () => {
  let hub: TestApp;
  let browser: Browser;
  let hostId: string;

  // Registering inside a hook would come too late, so what has to be closed is gathered here.
  const closers: (() => Promise<void>)[] = [];
  const later = (close: () => Promise<void>): void => void closers.push(close);
  afterAll(async () => {
    for (let close = closers.pop(); close; close = closers.pop()) await close();
  });

  // Two browsers, a hub, a database and agents on a busy machine.
  vi.setConfig({ testTimeout: 120_000 });

  beforeAll(async () => {
    hub = await startTestApp(later);
    browser = await launchBrowser(later);
    await hub.startAgent();
    const { call } = await hub.signIn();
    hostId = await until(async () => {
      const { items } = (await (await call('GET', '/hosts')).json()) as { items: { id: string; status: string }[] };
      return items.find((host) => host.status === 'online')?.id;
    }, 'the agent of this machine is online');
  }, 120_000);

  const room = (): string => `/hosts/${hostId}`;

  needs().test('signs in by the link, which leaves no trace in the address; a password can be set and used', async () => {
    const { page, complaints } = await openPage(browser);
    await page.goto(`${hub.url}/sign-in#${(await hub.app.newSignInLink()).split('#')[1]}`);
    await page.getByRole('heading', { name: 'Set a password' }).waitFor();
    expect(page.url()).not.toContain('#');
    await page.getByLabel('New password').fill('a long enough password');
    await page.getByRole('button', { name: 'Set password' }).click();
    await page.getByRole('heading', { name: 'Fleet' }).waitFor();
    await page.reload();
    await page.getByRole('heading', { name: 'Fleet' }).waitFor();
    expect(complaints).toEqual([]);

    await page.getByRole('link', { name: 'Account and settings' }).click();
    const email = await page.locator('.panel p').first().innerText();
    await page.getByRole('button', { name: 'Sign out' }).first().click();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await page.getByLabel('E-mail').fill(email);
    await page.getByLabel('Password', { exact: true }).fill('wrong password');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('alert').waitFor();
    await page.getByLabel('Password', { exact: true }).fill('a long enough password');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.locator('.rail').waitFor();
  });

  needs().test('charts fill from the history, then move; nothing breaks the content security policy', async () => {
    const { page, complaints } = await openPage(browser);
    await enter(hub, page, `${room()}?window=60s`);
    await page.locator('.strip').first().waitFor();
    expect(await page.locator('.strip').count()).toBeGreaterThanOrEqual(6);
    const value = (): Promise<string> => page.getByLabel('CPU', { exact: true }).locator('[data-headline]').innerText();
    await until(async () => /%/.test(await value()), 'the gutter has a figure');
    const ink = (): Promise<number> => page.locator('.strip canvas').first().evaluate(inkOfCanvas);
    const place = (): Promise<string> =>
      page.locator('.plot').first().evaluate(inPage<string>('(plot) => getComputedStyle(plot).transform'));
    const [firstInk, firstPlace] = [await ink(), await place()];
    await until(async () => (await ink()) !== firstInk, 'the canvas was drawn anew');
    await until(async () => (await place()) !== firstPlace, 'the strip moved');
    await page.locator('[data-sample-age="ok"]').waitFor();

    await page.keyboard.press('Space');
    await page.getByRole('button', { name: 'Paused' }).waitFor();
    await page.keyboard.press('l');
    await page.getByRole('button', { name: 'Live' }).waitFor();
    for (const name of ['5 min', '1 h']) await page.getByRole('button', { name, exact: true }).click();
    expect(page.url()).toContain('window=1h');
    expect(complaints).toEqual([]);
  });

  needs().test('who asks for less motion gets steps of a second; who does not see gets tables; keys are told', async () => {
    const { page, complaints } = await openPage(browser, { reducedMotion: 'reduce' });
    await enter(hub, page, `${room()}?window=60s`);
    await page.locator('.strip').first().waitFor();
    const place = (): Promise<string> =>
      page.locator('.plot').first().evaluate(inPage<string>('(plot) => getComputedStyle(plot).transform'));
    const ink = (): Promise<number> => page.locator('.strip canvas').first().evaluate(inkOfCanvas);
    const [firstInk, firstPlace] = [await ink(), await place()];
    await until(async () => (await ink()) !== firstInk || (await place()) !== firstPlace, 'the charts go on');
    const moving = "document.getAnimations().filter((one) => one.playState === 'running').map((one) => one.effect.target.className)";
    expect(await page.evaluate<string[]>(moving)).toEqual([]);

    const table = page.getByRole('table', { name: 'CPU, 60 s' });
    expect(await table.getByRole('row').count()).toBeGreaterThan(3);
    await until(async () => (await table.getByRole('row', { name: /^user/ }).innerText()).includes('%'), 'the table has figures');

    await page.keyboard.press('?');
    const keys = page.getByRole('dialog', { name: 'Keys' });
    await keys.getByText('pause or go on').waitFor();
    await page.keyboard.press('Escape');
    await keys.waitFor({ state: 'hidden' });
    await page.keyboard.press('/');
    await until(async () => (await page.evaluate<string>('document.activeElement.tagName')) === 'INPUT', 'the search has the focus');
    expect(complaints).toEqual([]);
  });

  needs().test('warns of plain http beyond this machine, and only there', async () => {
    const { page } = await openPage(browser);
    await page.goto(hub.url);
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    expect(await page.locator('.banner').count()).toBe(0);
    await page.goto(hub.url.replace('127.0.0.1', foreignName));
    await page.locator('.banner', { hasText: 'plain http' }).waitFor();
  });

  needs().test('one crosshair: figures in the gutter, the flag and the timeline tell the same time', async () => {
    const { page } = await openPage(browser);
    await enter(hub, page, `${room()}?window=60s`);
    await page.locator('.strip').first().waitFor();
    const box = (await page.locator('.axis-box').boundingBox())!;
    await page.mouse.move(box.x + box.width * 0.9, 300);
    await page.locator('.flag').waitFor({ state: 'visible' });
    await until(async () => (await page.locator('.axis-note').innerText()).startsWith('values at'), 'the gutter says values at');
    await page.locator('.now-line').waitFor();
    await page.mouse.click(box.x + box.width * 0.9, 300);
    await page.locator('.time-pill.set').waitFor();
    await page.keyboard.press('Escape');
    await page.locator('.time-pill.set').waitFor({ state: 'detached' });
  });

  needs().test('a message appears in another window; hostile text stays text', async () => {
    const first = await openPage(browser);
    const second = await openPage(browser);
    await enter(hub, first.page, room());
    await enter(hub, second.page, room());
    await second.page.getByRole('textbox', { name: /^Message to/ }).waitFor();
    const input = first.page.getByRole('textbox', { name: /^Message to/ });
    await input.fill('**deploy** v42 at `eth0`');
    await input.press('Enter');
    await second.page.locator('.item', { hasText: 'deploy v42 at eth0' }).locator('strong').waitFor();
    for (const text of xss) {
      await input.fill(text);
      await input.press('Enter');
    }
    await until(async () => (await second.page.locator('.item:not(.unsent) .message').count()) >= xss.length + 1, 'all messages arrived');
    const feed = second.page.locator('.feed');
    expect(await feed.innerText()).toContain('<img src=x onerror=alert(1)>');
    expect(await feed.locator('img, script, iframe, math, svg[onload]').count()).toBe(0);
    const links = await feed.locator('a').evaluateAll(inPage<string[]>('(all) => all.map((link) => link.href)'));
    expect(links.filter((href) => !/^https?:/.test(href))).toEqual([]);
    expect([...first.complaints, ...second.complaints]).toEqual([]);
  });

  needs().test('without a line a message waits greyed and goes out once when the line is back', async () => {
    const { page, context } = await openPage(browser);
    await enter(hub, page, room());
    const input = page.getByRole('textbox', { name: /^Message to/ });
    await input.waitFor();
    await context.setOffline(true);
    await input.fill('written in a tunnel');
    await input.press('Enter');
    await page.locator('.item.unsent', { hasText: 'written in a tunnel' }).waitFor();
    await context.setOffline(false);
    await page.locator('.item:not(.unsent)', { hasText: 'written in a tunnel' }).waitFor();
    await page.locator('.item.unsent').waitFor({ state: 'detached' });
    expect(await page.locator('.item', { hasText: 'written in a tunnel' }).count()).toBe(1);
  });

  needs().test('"waiting for the first sample" turns into charts by itself; rename, then delete the host', async () => {
    const { page, complaints } = await openPage(browser);
    await enter(hub, page, '/hosts/new');
    await page.getByLabel('Name').fill('<b>second</b>');
    await page.getByRole('button', { name: 'Make the command' }).click();
    const command = await page.locator('[data-command]').innerText();
    await page.getByText('Waiting for the first sample').waitFor();
    await page.getByText('Nothing arrives?').click();
    await page.getByText('journalctl -u hostroom-agent').waitFor();
    const enrolmentToken = /ENROLMENT_TOKEN=['"]?([\w-]+)/.exec(command)?.[1];
    expect(enrolmentToken, command).toBeTruthy();
    const agent = await startLocalAgent({
      programDir: join(hub.config.dataDir, 'cache/agent-2'),
      stateDir: join(hub.config.dataDir, 'agent-2'),
      hubUrl: hub.url,
      enrolmentToken,
      onExit: () => undefined,
    });
    try {
      await page.locator('.strip').first().waitFor({ timeout: 30_000 });
      await page.getByRole('heading', { name: '<b>second</b>' }).waitFor();
      await page.getByRole('button', { name: 'More about this host' }).click();
      await page.getByRole('menuitem', { name: 'Rename…' }).click();
      await page.getByRole('dialog').getByLabel('Name').fill('second');
      await page.getByRole('dialog').getByRole('button', { name: 'Rename' }).click();
      await page.getByRole('heading', { name: 'second', exact: true }).waitFor();
      await page.getByRole('button', { name: 'More about this host' }).click();
      await page.getByRole('menuitem', { name: 'Delete…' }).click();
      await page.getByRole('dialog').getByLabel('Type second to confirm').fill('second');
      await page.getByRole('dialog').getByRole('button', { name: 'Delete host' }).click();
      await page.getByRole('heading', { name: 'Fleet' }).waitFor();
      expect(await page.locator('.fleet-row').count()).toBe(1);
      expect(complaints).toEqual([]);
    } finally {
      await agent.close();
    }
  });

  needs().test('everything that can be used has a name; a phone needs no sideways scrolling and finds 44 px', async () => {
    const { page } = await openPage(browser, { viewport: phone, hasTouch: true, isMobile: true });
    await enter(hub, page);
    for (const path of ['/', room(), '/hosts/new', '/account', '/nowhere']) {
      await page.goto(hub.url + path);
      await page.locator('.rail').waitFor({ state: 'attached' });
      await page.locator('h1').first().waitFor();
      for (const width of [390, 360]) {
        await page.setViewportSize({ width, height: phone.height });
        expect(await page.evaluate<number>('document.documentElement.scrollWidth'), `${path} at ${width}`).toBeLessThanOrEqual(width);
      }
      const nameless = await page.locator('button, a, input, textarea, select').evaluateAll(withoutName);
      expect(nameless, path).toEqual([]);
    }
    await page.goto(hub.url + room());
    await page.locator('.strip').first().waitFor();
    expect(await page.locator('.strip').count()).toBe(4);
    const small = await page.locator('.phone-room button, .phone-room a').evaluateAll(smallerThanAFinger);
    expect(small).toEqual([]);
    await page.getByRole('tab', { name: 'Timeline' }).click();
    await page.getByRole('log').waitFor();
    await page.getByRole('tab', { name: 'Info' }).click();
    await page.getByLabel('Processes').waitFor();
  });
});
