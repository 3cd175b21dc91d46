/** The real agent on a real hub: from the enrolment token to committed rows. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startAgent, type Agent } from '../../agent/agent.ts';
import { createLog } from '../../agent/log.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { until } from '../support/until.ts';

interface Running {
  agent: Agent;
  lines: { level: number; msg: string }[];
}

async function startOn(hub: TestApp, stateDir: string, enrolmentToken: string | undefined): Promise<Running> {
  const lines: Running['lines'] = [];
  const agent = await startAgent(
    {
      hubUrl: hub.url,
      enrolmentToken,
      stateDir,
      intervalMs: 200,
      spoolBytes: 2 ** 28,
      spoolAgeMs: 86_400_000,
      name: 'test',
      hostRoot: '',
      logLevel: 'debug',
    },
    { log: createLog('debug', (line) => lines.push(JSON.parse(line))), version: '1.2.3' },
  );
  agent.done.catch(() => {});
  onTestFinished(() => agent.close());
  return { agent, lines };
}

function makeStateDir(): string {
  const stateDir = mkdtempSync(join(tmpdir(), 'agent-'));
  onTestFinished(() => rmSync(stateDir, { recursive: true, force: true }));
  return stateDir;
}

test('what the agent forgets is committed, once, in its own order; the inventory arrives', async () => {
  const hub = await startTestApp(onTestFinished);
  const { call } = await hub.signIn();
  const created = (await (await call('POST', '/hosts', { name: 'box' })).json()) as {
    id: string;
    enrolment: { token: string; command: string };
  };
  expect(created.enrolment.command).toContain(`${hub.config.publicUrl}/agent.sh`);
  const { agent, lines } = await startOn(hub, makeStateDir(), created.enrolment.token);
  const { sql } = hub.database;
  const stored = async (): Promise<{ seq: string; boot: string; kind: number }[]> =>
    sql`select seq, boot, kind from sample_hot where host = ${created.id} order by seq`;
  await until(async () => (await stored()).length >= 10);
  const inventory = async (): Promise<unknown> =>
    ((await (await call('GET', `/hosts/${created.id}`)).json()) as { inventory: unknown }).inventory;
  await until(inventory);
  await agent.close();
  const left = new Set([...agent.spool.unacknowledged()].map((entry) => entry.seq));
  const rows = await stored();
  expect(new Set(rows.map((row) => row.boot))).toEqual(new Set([agent.boot]));
  const seqs = rows.map((row) => Number(row.seq));
  expect(new Set(seqs).size).toBe(seqs.length);
  // All up to the last, but for those whose answer did not arrive before the goodbye.
  for (let seq = 1; seq <= Math.max(...seqs); seq += 1) expect(seqs.includes(seq) || left.has(seq), `seq ${seq}`).toBe(true);
  expect(lines.filter((line) => line.level >= 40 && !line.msg.includes('collector failed'))).toEqual([]);
  expect(await inventory()).toMatchObject({ agentVersion: '1.2.3' });
});

test('a deleted host’s agent is told, keeps running, and a new token brings it back as another host', async () => {
  const hub = await startTestApp(onTestFinished);
  const { call } = await hub.signIn();
  const stateDir = makeStateDir();
  const add = async (): Promise<{ id: string; token: string }> => {
    const { id, enrolment } = (await (await call('POST', '/hosts', { name: 'box' })).json()) as {
      id: string;
      enrolment: { token: string };
    };
    return { id, token: enrolment.token };
  };
  const first = await add();
  const { agent, lines } = await startOn(hub, stateDir, first.token);
  await until(() => agent.link.connection);
  expect((await call('DELETE', `/hosts/${first.id}`)).status).toBeLessThan(300);
  await until(() => lines.some((line) => line.msg.includes('enrol it again')));
  await agent.close();
  const second = await add();
  const again = await startOn(hub, stateDir, second.token);
  await until(() => again.agent.link.connection);
  await until(() => again.agent.spool.depth === 0);
});

test('the packed agent and its script are served to anyone', async () => {
  const hub = await startTestApp(onTestFinished);
  const script = await (await fetch(`${hub.url}/agent.sh`)).text();
  expect(script).toContain(`HUB_URL=\${HUB_URL:-'${hub.config.publicUrl}'}`);
  const tarball = Buffer.from(await (await fetch(`${hub.url}/agent.tgz`)).arrayBuffer());
  expect([tarball[0], tarball[1]]).toEqual([0x1f, 0x8b]);
});

test('an identity that cannot be read is told, not replaced', async () => {
  const hub = await startTestApp(onTestFinished);
  const stateDir = makeStateDir();
  writeFileSync(join(stateDir, 'identity.json'), '{"key":');
  const { agent } = await startOn(hub, stateDir, await hub.app.localEnrolment());
  await expect(agent.done).rejects.toThrow(/identity.json cannot be used.*remove it to enrol again/);
  expect(readFileSync(join(stateDir, 'identity.json'), 'utf8')).toBe('{"key":');
});
