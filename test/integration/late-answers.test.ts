/** What is answered when an owner or a source hangs: SDKs drop the whole connection when a subscribe gets no reply within 5 s. */

import { expect, test } from 'vitest';
import { Call } from '../../src/gateway/call.ts';
import type { Policy } from '../../src/gateway/policy.ts';
import type { ConformanceServer } from '../../src/conformance/server.ts';
import { openPolicy } from '../../src/conformance/openPolicy.ts';
import { raw, rawConnected, record, sdk, serve } from '../support/protocol.ts';
import { until } from '../support/until.ts';

const late = { code: 100, message: 'this takes too long; try again', temporary: true };

interface Hanging {
  server: ConformanceServer;
  counted: string[];
  /** Lets what hangs go on, and nothing hang any more. */
  release: () => void;
}

/** A server on which entering a room hangs, in the policy or in the source. */
async function hanging(where: 'policy' | 'source', commandMs: number): Promise<Hanging> {
  const gate = Promise.withResolvers<void>();
  let policy: Policy | undefined;
  const forward = new Proxy({} as Policy, { get: (_, name: keyof Policy) => policy?.[name] });
  const counted: string[] = [];
  const metrics = { received: () => undefined, error: (what: string) => void counted.push(what), dropped: () => undefined };
  const server = await serve({ gateway: { policy: forward, metrics, timings: { commandMs } } });
  const { hub, streams } = server;
  const open = openPolicy({ hub, streamsOf: () => streams, secret: '' });
  policy = {
    ...open,
    subscribe: async (...request) => {
      if (where === 'policy') await gate.promise;
      return open.subscribe(...request);
    },
  };
  const read = streams.read.bind(streams);
  streams.read = async (...range) => {
    if (where === 'source') await gate.promise;
    return read(...range);
  };
  return { server, counted, release: () => gate.resolve() };
}

test.each(['policy', 'source'] as const)(
  'a subscribe on which the %s hangs is refused in time, and leaves nothing behind',
  async (where) => {
    const { server, counted, release } = await hanging(where, 30);
    const client = await rawConnected(server);
    client.send({ id: 2, subscribe: { channel: 'a' } }, { id: 3, subscribe: { channel: 'b' } }, { id: 4, unsubscribe: { channel: 'c' } });
    await client.reply(4);
    expect(client.lines.slice(1)).toEqual([
      { id: 2, error: late },
      { id: 3, error: late },
      { id: 4, unsubscribe: {} },
    ]);
    expect(server.hub.subscriptions).toBe(0);
    expect(counted).toEqual(['subscribe', 'subscribe']);

    release();
    client.send({ id: 5, subscribe: { channel: 'a' } });
    expect((await client.reply(5)).subscribe).toBeDefined();
    expect(client.lines.filter(({ id }) => id === 2)).toHaveLength(1);
    expect(server.hub.subscriptions).toBe(1);
  },
);

test('the SDK keeps its connection and its other rooms, and enters by itself when the source is back', async () => {
  const { server, release } = await hanging('policy', 30);
  const client = sdk(server);
  const subscription = client.newSubscription('a', { minResubscribeDelay: 10, maxResubscribeDelay: 20 });
  const { events } = record(subscription);
  const connects: unknown[] = [];
  client.on('connected', (context) => connects.push(context));
  subscription.subscribe();
  client.connect();
  await until(() => events.filter(([name]) => name === 'error').length >= 3);
  release();
  await subscription.ready();
  expect(connects).toHaveLength(1);
  expect(server.hub.subscriptions).toBe(1);
});

test('a connect on which the policy hangs is refused as temporary, so that SDKs try again instead of giving up', async () => {
  let hangs = 2;
  const { hub, streams } = await serve();
  const open = openPolicy({ hub, streamsOf: () => streams, secret: '' });
  const policy: Policy = { ...open, connect: (...request) => (hangs-- > 0 ? new Promise(() => {}) : open.connect(...request)) };
  const server = await serve({ gateway: { policy, timings: { commandMs: 30 } } });
  const first = await raw(server.webSocketUrl);
  first.send({ id: 1, connect: {} });
  expect((await first.reply(1)).error).toEqual(late);
  const client = sdk(server);
  client.connect();
  await client.ready();
  expect(hangs).toBe(-1);
});

test('what is done in time wins over its deadline, even one that has passed', async () => {
  const call = new Call(undefined, 'publish', '');
  expect(await call.within(performance.now() - 1000, Promise.resolve('done'))).toBe('done');
  expect(call.isLate).toBe(false);
  await expect(call.within(performance.now(), Promise.reject(new Error('failed')))).rejects.toThrow('failed');
});
