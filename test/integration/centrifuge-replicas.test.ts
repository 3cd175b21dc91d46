/** The suites of the published SDK once more, through a round-robin proxy over two replicas that Redis joins: the same results as on one. */

import { afterAll, beforeAll } from 'vitest';
import { needs } from '../support/needs.ts';
import { serveReplicas } from '../support/protocol.ts';
import { startRedis } from '../support/redis.ts';

needs('redis').describe('through a round-robin proxy over two replicas', async () => {
  const closers: (() => Promise<void>)[] = [];
  let url = '';
  beforeAll(async () => {
    ({ url } = await startRedis((close) => void closers.push(close)));
  });
  serveReplicas(() => url);
  afterAll(async () => {
    await Promise.all(closers.map((close) => close()));
  });
  await import('./centrifuge-session.test.ts');
  await import('./centrifuge-commands.test.ts');
  await import('./centrifuge-recovery.test.ts');
});
