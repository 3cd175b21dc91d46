/** The page of the replicas: admins see them come, drain and go. */

import { expect, onTestFinished } from 'vitest';
import { startTestApp } from '../support/app.ts';
import { needs } from '../support/needs.ts';
import { enter, launchBrowser, openPage } from '../support/page.ts';
import { startRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

needs('chromium', 'redis').test(
  'a second replica comes, drains and goes before one’s eyes',
  async () => {
    const redis = await startRedis(onTestFinished);
    const environment = { REDIS_URL: redis.url, SHUTDOWN_GRACE: '9s' };
    const first = await startTestApp(onTestFinished, environment);
    await first.startAgent();
    const { page, complaints } = await openPage(await launchBrowser(onTestFinished));
    await enter(first, page, '/replicas');
    const lines = page.locator('.replica-table tbody tr');
    await until(async () => (await lines.count()) === 1, 'the first is shown');
    expect(await lines.first().innerText()).toContain('answers you');
    await until(async () => /\bready\b.*\b1\s+1\b/su.test(await lines.first().innerText()), 'the agent and the page itself are counted');

    const second = await startTestApp(onTestFinished, { ...environment, DATABASE_URL: first.database.url });
    await until(async () => (await lines.count()) === 2, 'the second is shown');
    await until(async () => (await page.getByText('2 replicas').count()) === 1, 'they are counted');
    const closing = second.app.close();
    await until(async () => (await page.getByText('draining').count()) === 1, 'its drain is shown');
    await closing;
    await until(async () => (await lines.count()) === 1, 'it is gone');
    expect(complaints).toEqual([]);
  },
  120_000,
);
