/** R13, for agents: all of them lose their connections at once, come back, and tell what their machines are. */

import { generateKeyPairSync } from 'node:crypto';
import { exportJWK } from 'jose';
import { expect, onTestFinished } from 'vitest';
import { newId } from '../../src/lib/id.ts';
import { startCrowd } from '../support/faults/crowd.ts';
import { startRig } from '../support/faults/rig.ts';
import { isFull, printFigures, sized } from '../support/faults/scale.ts';
import { loggingStatements, sumOf, watchStatements } from '../support/faults/statements.ts';
import { needs } from '../support/needs.ts';
import { agentToken } from '../support/testHub.ts';
import { until } from '../support/until.ts';

const agents = sized(300, 5_000);
const handshakes = 1_000;

needs('linux').test(
  `${agents} agents lose their connections at once and come back without statements of their own`,
  async () => {
    const rig = await startRig(onTestFinished, {
      postgresSettings: loggingStatements,
      environment: { LIMIT_HANDSHAKES: String(handshakes) },
    });
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const [{ id: hub }] = await rig.sql<[{ id: string }]>`select id from hub`;
    const hosts = Array.from({ length: agents }, () => newId());
    await rig.sql`
      insert into host (id, name, host_group, public_key)
      select id, id, (select id from host_group order by created_at limit 1), ${JSON.stringify(await exportJWK(publicKey))}::text::jsonb
      from unnest(${hosts}::uuid[]) as given (id)`;
    await rig.sql`
      insert into room (id, name, host_group, host) select id, name, host_group, id from host where id = any(${hosts}::uuid[])`;
    const tokens = await Promise.all(hosts.map((host) => agentToken(privateKey, host, hub, Date.now())));
    const boots = hosts.map(() => newId());
    const statements = watchStatements(rig.postgres.logFile);
    onTestFinished(() => statements.close());
    const crowd = startCrowd({
      url: `${rig.hub.url.replace('http', 'ws')}/connection/websocket`,
      size: agents,
      token: (n) => tokens[n]!,
      data: (n, connection) => ({ boot: boots[n]!, connection }),
      rooms: () => [],
    });
    onTestFinished(() => crowd.close());
    const startedMs = performance.now();
    await until(() => crowd.joined() === agents, 'all are connected', 120_000);
    const firstMs = Math.round(performance.now() - startedMs);
    const online = async (): Promise<number> => (await rig.sql`select from host where online and id = any(${hosts}::uuid[])`).length;
    await until(async () => (await online()) === agents, 'all are online', 60_000);
    const events = async (what: string): Promise<number> =>
      (await rig.sql`select from message where kind = 'event' and body ->> 'what' = ${what} and room = any(${hosts}::uuid[])`).length;
    await until(async () => (await events('agent_joined')) === agents, 'all joined', 120_000);

    crowd.take();
    statements.take();
    const droppedMs = performance.now();
    crowd.drop();
    await until(() => crowd.joined() === agents, 'all are back', 120_000);
    const backMs = Math.round(performance.now() - droppedMs);
    const byStatement = statements.take();
    const { errors, refused } = crowd.take();
    // Those of the agents; who stays away for 10 s has left, which is an event.
    const ofAgents = sumOf(new Map([...byStatement].filter(([statement]) => /\bhost\b/.test(statement))));
    printFigures('R13 agents reconnect', {
      agents,
      handshakes,
      firstMs,
      backMs,
      refused,
      errors,
      statements: sumOf(byStatement),
      ofAgents,
      byStatement: [...byStatement].toSorted((a, b) => b[1] - a[1]).slice(0, 8),
    });
    expect(errors).toEqual({});
    expect(await online()).toBe(agents);
    if (backMs < 10_000) expect(await events('agent_left')).toBe(0);
    expect(ofAgents).toBeLessThan(agents / 2);
    if (isFull) expect(backMs).toBeLessThan(60_000);
  },
  sized(120_000, 400_000),
);
