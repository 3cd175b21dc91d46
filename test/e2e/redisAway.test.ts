/** What a page shows of an outage of Redis: a word that some values come late, and the values. */

import { expect, onTestFinished } from 'vitest';
import { hostRoom } from '../../src/protocol/rooms.ts';
import { startTestApp } from '../support/app.ts';
import { FakeAgent } from '../support/fakeAgent.ts';
import { needs } from '../support/needs.ts';
import { enter, launchBrowser, openPage } from '../support/page.ts';
import { startRedis } from '../support/redis.ts';
import { someMetrics } from '../support/samples.ts';
import { until } from '../support/until.ts';

needs('redis', 'chromium').test(
  'while Redis is away the page says that live is delayed, and goes on with a host of the other replica',
  async () => {
    const redis = await startRedis(onTestFinished);
    const a = await startTestApp(onTestFinished, { REDIS_URL: redis.url });
    const b = await startTestApp(onTestFinished, { REDIS_URL: redis.url, DATABASE_URL: a.database.url });
    const agent = await new FakeAgent(a.url).enrol(await a.app.localEnrolment());
    const client = await agent.connect();
    const sampling = setInterval(() => void client.publish(hostRoom(agent.host), agent.sample(someMetrics)), 500);
    onTestFinished(async () => {
      clearInterval(sampling);
      await client.close();
    });

    const { page } = await openPage(await launchBrowser(onTestFinished));
    await enter(b, page, `/hosts/${agent.host}`);
    const banner = page.locator('.banner', { hasText: 'two seconds late' });
    // What the page itself says of the newest sample: not older than 3 s.
    const live = page.locator('.scroller.live-data');
    await live.waitFor();
    expect(await banner.count()).toBe(0);
    await redis.kill();
    await banner.waitFor({ timeout: 15_000 });
    await live.waitFor();
    const newest = page.locator('.facts .right');
    const before = await newest.getAttribute('title');
    await until(async () => (await newest.getAttribute('title')) !== before, 'the time of the newest sample goes on');
    await redis.start();
    await banner.waitFor({ state: 'detached', timeout: 15_000 });
    await live.waitFor();
  },
  60_000,
);
