/** Two whole hubs on one database: what is told on one is seen on the other, by way of Redis. */

import { expect, onTestFinished } from 'vitest';
import { needs } from '../support/needs.ts';
import { startRedis } from '../support/redis.ts';
import { startTestApp } from '../support/app.ts';
import { until } from '../support/until.ts';

needs('redis').test('a hub starts without its Redis, says so, and is whole when it is there', async () => {
  const redis = await startRedis(onTestFinished);
  await redis.kill();
  const hub = await startTestApp(onTestFinished, { REDIS_URL: redis.url });
  const metric = async (name: string): Promise<string | undefined> =>
    (await (await fetch(`${hub.opsUrl}/metrics`)).text()).split('\n').find((line) => line.startsWith(name));
  expect(await metric('hostroom_degraded{dependency="redis"}')).toMatch(/ 1$/);
  expect((await fetch(`${hub.opsUrl}/readyz`)).status).toBe(200);

  await redis.start();
  await until(async () => (await metric('hostroom_degraded{dependency="redis"}'))?.endsWith(' 0'));
  expect(Number((await metric('hostroom_relay_seconds_count'))?.split(' ')[1])).toBeGreaterThan(0);

  redis.freeze();
  await until(async () => (await metric('hostroom_degraded{dependency="redis"}'))?.endsWith(' 1'));
  expect((await fetch(`${hub.opsUrl}/readyz`)).status).toBe(200);
  redis.thaw();
  await until(async () => (await metric('hostroom_degraded{dependency="redis"}'))?.endsWith(' 0'));
});
