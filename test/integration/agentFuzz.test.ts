/** A hub that says anything at all: the agent ignores it or leaves, and goes on. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { startAgent } from '../../agent/agent.ts';
import { createLog } from '../../agent/log.ts';
import { startAgentHub, type Arrival } from '../support/agentHub.ts';
import { until } from '../support/until.ts';

test('random messages, replies and bytes from the hub', async () => {
  const stateDir = mkdtempSync(join(tmpdir(), 'agent-'));
  const hub = await startAgentHub();
  const agent = await startAgent(
    {
      hubUrl: hub.url,
      enrolmentToken: 'token',
      stateDir,
      intervalMs: 100,
      spoolBytes: 2 ** 28,
      spoolAgeMs: 86_400_000,
      name: 'fuzz',
      hostRoot: '',
      logLevel: 'silent',
    },
    { log: createLog('silent'), version: '0' },
  );
  agent.done.catch(() => {});
  onTestFinished(async () => {
    await agent.close();
    await hub.close();
    rmSync(stateDir, { recursive: true });
  });
  await until(() => hub.committed.length > 0);

  const seed = Math.floor(Math.random() * 2 ** 31);
  process.stdout.write(`seed ${seed}\n`);
  const reply = fc.record({
    id: fc.oneof(fc.integer({ min: -1, max: 30 }), fc.string()),
    publish: fc.option(fc.jsonValue(), { nil: undefined }),
    rpc: fc.option(fc.jsonValue(), { nil: undefined }),
    error: fc.option(fc.oneof(fc.jsonValue(), fc.record({ code: fc.integer(), message: fc.string(), temporary: fc.boolean() })), {
      nil: undefined,
    }),
  });
  const object = fc.oneof(
    fc.dictionary(fc.string(), fc.jsonValue()).map((value) => JSON.stringify(value)),
    fc.array(reply, { minLength: 1, maxLength: 3 }).map((replies) => replies.map((value) => JSON.stringify(value)).join('\n')),
  );
  const newest = async (): Promise<Arrival> => until(() => hub.arrivals.findLast(({ socket }) => socket.readyState === socket.OPEN));
  // Objects that make no sense are ignored on one and the same connection.
  const first = await newest();
  for (const message of fc.sample(object, { seed, numRuns: 400 })) first.socket.send(message);
  const sample = hub.committed.length;
  await until(() => hub.committed.length > sample + 3);
  expect(hub.arrivals).toHaveLength(1);
  // Anything else ends it, and the agent comes back.
  for (const message of fc.sample(fc.string({ minLength: 1 }), { seed, numRuns: 4 })) (await newest()).socket.send(message);
  for (const bytes of fc.sample(fc.uint8Array({ minLength: 1, maxLength: 200 }), { seed, numRuns: 4 })) {
    const { socket } = await newest();
    (socket as unknown as { _socket: { write(data: Uint8Array): void } })._socket.write(bytes);
  }

  const before = hub.committed.length;
  await until(() => hub.committed.length > before + 3);
  expect(new Set(hub.committed.map((one) => one.boot))).toEqual(new Set([agent.boot]));
});
