/** Runs a suite on every shape that Redis may have. */

import { afterAll, beforeAll } from 'vitest';
import { needs } from './needs.ts';
import { redisShapes, type RedisSetup } from './redis.ts';

/** The same tests on a single server, with Sentinel, on a Cluster, each started once. @param tests `started` gives it, up again where it was killed */
export function onEachRedis(name: string, tests: (started: () => Promise<RedisSetup>) => void): void {
  for (const [shape, start] of Object.entries(redisShapes))
    needs('redis').describe(`${name}: ${shape}`, () => {
      const closers: (() => Promise<void>)[] = [];
      let setup: RedisSetup;
      beforeAll(async () => {
        setup = await start((close) => closers.push(close));
      }, 60_000);
      afterAll(async () => {
        for (const close of closers.reverse()) await close();
      });
      tests(async () => {
        await setup.start();
        return setup;
      });
    });
}
