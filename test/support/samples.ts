/** Makes samples as an agent would. */

import { newId } from '../../src/lib/id.ts';
import { RawClient } from './rawClient.ts';
import type { Reply } from './rawClient.ts';
import type { TestHost, TestHub } from './testHub.ts';

export interface TestAgent {
  client: RawClient;
  boot: string;
  room: string;
  /** The next sample, `at` hub time now unless said otherwise. */
  sample(over?: object): { kind: string; at: number; seq: number; boot: string; metrics: Record<string, number> };
  publish(data?: object): Promise<Reply>;
}

export const someMetrics = {
  'cpu.busy': 0.25,
  'memory.used': 1e9,
  'memory.total': 4e9,
  'net.eth0.receive': 100,
  'net.lo.receive': 7,
  'net.eth0.transmit': 50,
};

export async function connectAgent(
  hub: TestHub,
  host: TestHost,
  options: { boot?: string; connection?: number; seq?: number } = {},
): Promise<TestAgent> {
  const { boot = newId(), connection = 1 } = options;
  const client = await RawClient.connect(hub.url, await host.token(), { boot, connection });
  let seq = options.seq ?? 0;
  let lastAt = 0;
  const sample: TestAgent['sample'] = (over = {}) => {
    lastAt = Math.max(lastAt + 1, hub.clock.now());
    return { kind: 'sample', at: lastAt, seq: ++seq, boot, metrics: someMetrics, ...over };
  };
  const room = `host:${host.id}`;
  return { client, boot, room, sample, publish: (data = sample()) => client.publish(room, data) };
}
