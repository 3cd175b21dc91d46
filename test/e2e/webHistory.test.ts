/** The web UI where the way between agent and hub breaks: what it shows meanwhile, and how a closed gap fills in place. */

import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, onTestFinished, vi } from 'vitest';
import { insertSamples, type SampleRow } from '../../src/data/samples.ts';
import { newId } from '../../src/lib/id.ts';
import { startLocalAgent } from '../../src/local/localAgent.ts';
import type { Processes } from '../../src/protocol/kinds.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { startFaultProxy, type FaultProxy } from '../support/faults/faultProxy.ts';
import { needs } from '../support/needs.ts';
import { enter, launchBrowser, openPage } from '../support/page.ts';
import { until } from '../support/until.ts';

/** Longer than what the agent sends again live: ten samples. */
const outageS = 15;

needs('chromium', 'linux').describe('the history in the web UI', () => {
  let hub: TestApp;
  let browser: Browser;
  let proxy: FaultProxy;
  let room: string;

  const closers: (() => Promise<void>)[] = [];
  const later = (close: () => Promise<void>): void => void closers.push(close);
  afterAll(async () => {
    for (let close = closers.pop(); close; close = closers.pop()) await close();
  });
  vi.setConfig({ testTimeout: 180_000 });

  beforeAll(async () => {
    hub = await startTestApp(later);
    browser = await launchBrowser(later);
    proxy = await startFaultProxy({ host: '127.0.0.1', port: hub.config.port });
    later(() => proxy.close());
    const agent = await startLocalAgent({
      programDir: `${hub.config.dataDir}/cache/agent`,
      stateDir: `${hub.config.dataDir}/agent`,
      hubUrl: `http://127.0.0.1:${proxy.port}`,
      enrolmentToken: await hub.app.localEnrolment(),
      onExit: () => undefined,
    });
    later(() => agent.close());
    const { call } = await hub.signIn();
    room = await until(async () => {
      const { items } = (await (await call('GET', '/hosts')).json()) as { items: { id: string; status: string }[] };
      const online = items.find(({ status }) => status === 'online');
      return online && `/hosts/${online.id}`;
    }, 'the agent of this machine is online');
  }, 120_000);

  const cpu = (page: Page): Promise<string> => page.getByLabel('CPU', { exact: true }).locator('[data-headline]').innerText();

  /** What the gutter says while the crosshair is in the middle of the bar. */
  async function cpuAtMiddleOfGap(page: Page): Promise<string> {
    const bar = (await page.locator('.bar.gap').boundingBox())!;
    await page.mouse.move(bar.x + bar.width / 2, 300);
    await until(async () => (await page.locator('.axis-note').innerText()).startsWith('values at'), 'the gutter says values at');
    const text = await cpu(page);
    await page.mouse.move(5, 5);
    return text;
  }

  needs().test('an outage shows as stale, then offline; what the agent kept fills the open charts', async () => {
    const { page, complaints } = await openPage(browser);
    await enter(hub, page, `${room}?window=60s`);
    await page.locator('[data-sample-age="ok"]').waitFor();
    const cutAt = Date.now();
    onTestFinished(() => proxy.refuse(false));
    proxy.refuse(true);
    proxy.reset();
    await page.locator('.word', { hasText: 'no sample' }).waitFor();
    await page.locator('.pill.stale').waitFor();
    await page.locator('.word', { hasText: 'agent offline' }).waitFor();
    await page.locator('.pill.offline', { hasText: 'Offline since' }).waitFor();
    await until(async () => (await cpu(page)) === '—', 'the gutter has no figure');
    await until(() => Date.now() - cutAt > outageS * 1000, 'the outage was long enough', 60_000);
    proxy.refuse(false);

    const event = page.locator('.item', { hasText: 'Gap filled' });
    await event.waitFor({ timeout: 120_000 });
    expect(await event.innerText()).toMatch(/from the agent’s buffer[\s\S]*\d+ samples · .*no connection to the hub/);
    expect(await event.innerText()).not.toContain('lost');
    await page.locator('.word', { hasText: 'back-filled' }).waitFor();
    await page.locator('.bar.gap').waitFor();
    await until(async () => /^\d.*%$/.test(await cpuAtMiddleOfGap(page)), 'the charts have the late samples');
    expect(await page.locator('.word', { hasText: 'no data' }).count()).toBe(0);
    await page.locator('[data-sample-age="ok"]').waitFor();
    expect(await page.locator('.item', { hasText: 'Gap filled' }).count()).toBe(1);

    // The long window has them in its buckets.
    await page.getByRole('button', { name: '15 min', exact: true }).click();
    await page.locator('.resolution', { hasText: 'average, min to max' }).waitFor();
    await until(async () => /^\d.*%$/.test(await cpuAtMiddleOfGap(page)), 'the buckets have the late samples');
    expect(complaints).toEqual([]);
  });

  needs().test('who points at a time before the page was opened sees the processes of that time', async () => {
    // Whatever the agent of this machine has found by now.
    const boot = newId();
    const rows = ['some time ago', 'later'].map((name, n): SampleRow => {
      const top = [{ pid: 7, name, user: 'root', cpu: 0.5, memory: 1e6, io: 0 }];
      const list: Processes = { kind: 'processes', at: Date.now() - 90_000 + n * 45_000, boot, seq: n + 1, top };
      return { ...list, host: room.split('/').at(-1)!, frame: JSON.stringify(list) };
    });
    await insertSamples(hub.database.sql, rows);
    const { page, complaints } = await openPage(browser);
    await enter(hub, page, `${room}?window=5m`);
    const section = page.getByLabel('Processes', { exact: true });
    const older = section.locator('tbody tr', { hasText: 'some time ago' });
    expect(await older.count()).toBe(0);
    let share = 1;
    await until(
      async () => {
        // Looked up each time, for what loads above it moves it.
        const strip = (await page.locator('.strip').first().boundingBox())!;
        share = share > 0.3 ? share - 0.01 : 0.98;
        await page.mouse.move(strip.x + strip.width * share, strip.y + strip.height / 2);
        return (await older.count()) > 0;
      },
      'an older list is shown',
      60_000,
    );
    expect(complaints).toEqual([]);
  });

  needs().test('a room opens with the window that its history fills; the choice of a person is kept', async () => {
    const { page, complaints } = await openPage(browser);
    await enter(hub, page, room);
    await page.locator('.strip').first().waitFor();
    const pressed = (): Promise<string> => page.getByLabel('Window').locator('[aria-pressed="true"]').innerText();
    // This hub began a minute or two ago.
    expect(['60 s', '5 min']).toContain(await pressed());
    await page.getByRole('button', { name: '1 h', exact: true }).click();
    await page.locator('.resolution').waitFor();
    await page.goto(hub.url + room);
    await page.locator('.strip').first().waitFor();
    expect(await pressed()).toBe('1 h');
    expect(complaints).toEqual([]);
  });

  needs().test('admins see what each tier of history takes on disk', async () => {
    const { page, complaints } = await openPage(browser);
    await enter(hub, page, '/account');
    const storage = page.getByRole('region', { name: 'Storage' });
    const row = (name: string): Promise<string> => storage.getByRole('row', { name }).innerText();
    await storage.getByRole('table').waitFor();
    expect(await row('Every sample')).toMatch(/1\u202fd[\s\S]*B$/);
    expect(await row('1 h averages')).toContain('3 years');
    expect(await row('All')).toMatch(/\d\u202f[KM]iB$/);
    expect(complaints).toEqual([]);
  });

  needs().test('the agent’s place in the room says how long it can be without the hub', async () => {
    const { page } = await openPage(browser);
    await enter(hub, page, room);
    await page.getByLabel('Agent', { exact: true }).getByText('can be alone for').waitFor();
  });
});
