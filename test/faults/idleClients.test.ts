/** R22: thousands of clients that do nothing: what each costs, and that their pings are spread. */

import { randomBytes } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { expect, onTestFinished } from 'vitest';
import { needs } from '../support/needs.ts';
import { startCrowd } from '../support/faults/crowd.ts';
import { makeVisitors } from '../support/faults/people.ts';
import { processorSeconds } from '../support/faults/process.ts';
import { startRig } from '../support/faults/rig.ts';
import { printFigures, sized } from '../support/faults/scale.ts';
import { until } from '../support/until.ts';

/** With its loopback sockets each takes two descriptors of this machine. */
const clients = sized(300, 9_900);
const addresses = 50;
/** The full form sees each ping twice: the first after half to the whole of 25 s, then every 25 s. */
const restingMs = sized(1_000, 55_000);
const kibibyte = 1024;

needs('linux').test(
  `${clients} idle clients: memory of each, processor time, spread of pings`,
  async () => {
    const secretKey = randomBytes(32).toString('base64');
    const rig = await startRig(onTestFinished, {
      environment: { SECRET_KEY: secretKey, LIMIT_HANDSHAKES: '1000', LIMIT_CONNECTIONS_ADDRESS: '1000' },
    });
    const visitors = await makeVisitors(rig.sql, clients, secretKey);
    const pid = rig.hub.child.pid!;
    await wait(1_000);
    const before = rig.hubMemory();
    const crowd = startCrowd({
      url: `${rig.hub.url.replace('http', 'ws')}/connection/websocket`,
      size: clients,
      token: (n) => visitors[n]!.accessToken,
      rooms: (n) => [`user:${visitors[n]!.person}`],
      localAddress: (n) => `127.0.1.${1 + (n % addresses)}`,
    });
    onTestFinished(() => crowd.close());
    await until(() => crowd.joined() === clients, 'all are in', 240_000);
    crowd.take();
    const cpuBefore = processorSeconds(pid);
    const startedMs = performance.now();
    await wait(restingMs);
    const seconds = (performance.now() - startedMs) / 1_000;
    const cpu = processorSeconds(pid) - cpuBefore;
    const memory = rig.hubMemory();
    const { pings, closes, errors } = crowd.take();
    printFigures('R22 idle clients', {
      clients,
      addresses,
      kibPerConnection: Math.round(((memory - before) / clients / kibibyte) * 10) / 10,
      memoryMiB: { before: Math.round(before / 2 ** 20), with: Math.round(memory / 2 ** 20) },
      idlePercentOfACore: Math.round((cpu / seconds) * 1_000) / 10,
      pings: pings.length,
      mostPingsPerTenthOfASecond: most(pings, 100),
      evenPingsPerTenthOfASecond: Math.round(pings.length / seconds / 10),
    });
    expect(crowd.joined()).toBe(clients);
    expect(closes).toEqual({});
    expect(errors).toEqual({});
    expect(await rig.metric('hostroom_connections', '{kind="user"}')).toBe(clients);
    expect(await rig.metric('hostroom_dropped_total', '{what="connection"}')).toBe(0);
  },
  sized(90_000, 600_000),
);

/** The most moments within any such span. */
function most(moments: readonly number[], spanMs: number): number {
  let found = 0;
  let from = 0;
  for (let at = 0; at < moments.length; at++) {
    while (moments[at]! - moments[from]! >= spanMs) from++;
    found = Math.max(found, at - from + 1);
  }
  return found;
}
