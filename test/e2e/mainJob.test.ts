/** The whole way on real input: this machine's agent, the hub, PostgreSQL, REST, a subscriber. */

import { Centrifuge } from 'centrifuge';
import { expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import type { Sample } from '../../src/protocol/kinds.ts';
import { startTestApp } from '../support/app.ts';
import { until } from '../support/until.ts';

interface Hosts {
  items: { id: string; status: string; lastSampleAt: number | null; summary: { cpu: number | null } }[];
}

test('an agent of this machine fills its room, the history and the list of hosts', async () => {
  const { startAgent, signIn, url, opsUrl } = await startTestApp(onTestFinished);
  await startAgent();
  const { call, accessToken } = await signIn();

  const host = await until(async () => {
    const { items } = (await (await call('GET', '/hosts')).json()) as Hosts;
    return items.find((item) => item.status === 'online' && item.summary.cpu !== null);
  }, 'the host is online with a first figure');

  const client = new Centrifuge(`${url.replace('http', 'ws')}/connection/websocket`, { websocket: WebSocket, token: accessToken });
  onTestFinished(() => client.disconnect());
  const samples: Sample[] = [];
  const room = client.newSubscription(`host:${host.id}`);
  room.on('publication', ({ data }: { data: Sample }) => {
    if (data.kind === 'sample') samples.push(data);
  });
  room.subscribe();
  client.connect();
  await until(() => samples.length >= 3, 'three samples came live');
  expect(samples[1]!.seq).toBeGreaterThan(samples[0]!.seq);
  expect(samples[0]!.metrics['memory.total']).toBeGreaterThan(0);

  const last = samples.at(-1)!;
  const stored = await until(async () => {
    const answer = await call('GET', `/hosts/${host.id}/samples?from=${samples[0]!.at}&to=${last.at + 1}`);
    const lines = (await answer.text()).trim().split('\n');
    const found = lines.map((line) => JSON.parse(line) as Sample).filter(({ kind }) => kind === 'sample');
    return found.length >= samples.length && found;
  }, 'the history has what came live');
  expect(stored.slice(0, samples.length)).toEqual(samples.slice(0, stored.length));

  const metrics = await (await fetch(`${opsUrl}/metrics`)).text();
  expect(metrics).toContain('hostroom_connections{kind="agent"} 1');
  expect(metrics).toMatch(/hostroom_host_cpu_busy\w*\{host="/);
});
