/** What a client in many rooms gets together, and what it never waits for. */

import { setImmediate as turn } from 'node:timers/promises';
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { closes } from '../../src/protocol/codes.ts';
import type { Client } from '../../src/hub/client.ts';
import type { Frames } from '../../src/hub/frame.ts';
import { Hub } from '../../src/hub/hub.ts';
import { manyRooms } from '../../src/hub/turn.ts';
import type { Wire } from '../../src/hub/wire.ts';
import { MemoryRelay } from '../../src/relay/memory.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
});

/** A client in so many skippable rooms and one for talk, and the log of what its socket was told. */
async function clientIn(rooms: number): Promise<{ hub: Hub; client: Client; log: string[] }> {
  const hub = new Hub({ relay: new MemoryRelay() });
  await hub.start();
  const log: string[] = [];
  const wire = {
    queuedBytes: 0,
    write: ({ payloads }: Frames) => log.push(...payloads.join('\n').split('\n').map(nameOf)),
    cork: () => log.push('cork'),
    uncork: () => log.push('uncork'),
    onceDrained: () => undefined,
    close: () => log.push('close'),
  };
  const client = hub.add('c', { user: 'u', kind: 'user', maxFrameBytes: 1 }, wire as unknown as Wire);
  const names = Array.from({ length: rooms }, (_, at) => `host${at}`);
  for (const name of [...names, 'talk']) {
    const grant = { joinLeave: false, presence: false, skippable: name !== 'talk' };
    await hub.subscribe(client, name, grant, { recover: false, offset: 0, epoch: '' }, () => undefined);
  }
  await turn();
  log.length = 0;
  return { hub, client, log };
}

const nameOf = (line: string): string => (JSON.parse(line) as { reply?: string; push?: { channel: string } }).push?.channel ?? 'reply';

/** Publishes into each room in a turn of its own. */
async function publish(hub: Hub, ...rooms: string[]): Promise<void> {
  for (const room of rooms) {
    hub.publish(room, { data: '1' });
    await turn();
  }
}

test('what may wait goes out in one write per window', async () => {
  const { hub, log } = await clientIn(manyRooms);
  await publish(hub, 'host0', 'host1', 'host0');
  expect(log).toEqual(['cork', 'host0', 'host1', 'host0']);
  vi.advanceTimersByTime(20);
  expect(log.splice(0)).toEqual(['cork', 'host0', 'host1', 'host0', 'uncork']);
  await publish(hub, 'host2');
  await hub.close();
  expect(log).toEqual(['cork', 'host2', 'uncork']);
  expect(vi.getTimerCount()).toBe(0);
});

test('talk waits for nothing and takes along what was held, in order', async () => {
  const { hub, log } = await clientIn(manyRooms);
  await publish(hub, 'host0', 'talk');
  expect(log.splice(0)).toEqual(['cork', 'host0', 'talk', 'uncork']);
  hub.publish('host1', { data: '1' });
  hub.publish('talk', { data: '1' });
  await turn();
  expect(log).toEqual(['cork', 'host1', 'talk', 'uncork']);
});

test('replies and the close wait for nothing either', async () => {
  const { hub, client, log } = await clientIn(manyRooms);
  await publish(hub, 'host0');
  client.send('{"reply":"1"}');
  await turn();
  expect(log.splice(0)).toEqual(['cork', 'host0', 'reply', 'uncork']);
  await publish(hub, 'host0');
  client.close(closes.forceReconnect);
  expect(log).toEqual(['cork', 'host0', 'uncork', 'close']);
});

test('a client in few rooms gets everything at once', async () => {
  const few = await clientIn(manyRooms - 2);
  await publish(few.hub, 'host0', 'host1');
  expect(few.log).toEqual(['cork', 'host0', 'uncork', 'cork', 'host1', 'uncork']);
  const one = await clientIn(0);
  await publish(one.hub, 'talk');
  expect(one.log).toEqual(['talk']);
});
