import { Centrifuge } from 'centrifuge';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { BrowserSocket } from '../support/browserSocket.ts';
import { freshDatabase } from '../support/database.ts';
import { connectAgent } from '../support/samples.ts';
import { startTestHub } from '../support/testHub.ts';
import type { TestHub } from '../support/testHub.ts';
import { until } from '../support/until.ts';

let hub: TestHub;
beforeAll(async () => {
  hub = await startTestHub(afterAll, { database: await freshDatabase(afterAll) });
});

/** What the SDK of a person is told outside of rooms, `connected` where a connection began. */
async function listener(): Promise<unknown[]> {
  const { accessToken } = await hub.addPerson('none');
  const told: unknown[] = [];
  const client = new Centrifuge(hub.url, { websocket: BrowserSocket, token: accessToken });
  client.on('connected', () => told.push('connected'));
  client.on('message', ({ data }: { data: unknown }) => told.push(data));
  client.connect();
  onTestFinished(() => client.disconnect());
  await until(() => told.length > 0);
  return told;
}

test('people are told what the hub has to do without, and when it is back; agents are not', async () => {
  const early = await listener();
  const agent = await connectAgent(hub, await hub.addHost());
  hub.degrade({ redis: true, postgresql: true, else: false });
  const both = { kind: 'degraded', away: ['postgresql', 'redis'] };
  await until(() => early.length === 2);
  const late = await listener();
  await until(() => late.length === 2);
  hub.degrade({ redis: false, postgresql: false });
  await until(() => late.length === 3 && early.length === 3);
  expect(early).toEqual(['connected', both, { kind: 'degraded', away: [] }]);
  expect(late).toEqual(early);
  expect(await listener()).toEqual(['connected']);
  expect(agent.client.pushes).toEqual([]);
  await agent.client.close();
});
