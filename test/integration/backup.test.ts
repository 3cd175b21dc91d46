/** Backup and restore as docs/operations.md describes them, while real links of agents send. */

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { withDatabase } from '../support/databaseUrl.ts';
import { openDatabase } from '../../src/db/database.ts';
import { createLog } from '../../src/ops/log.ts';
import { freePort } from '../../src/lib/freePort.ts';
import { startTestApp } from '../support/app.ts';
import { startLoadAgent } from '../support/faults/loadAgent.ts';
import { printFigures } from '../support/faults/scale.ts';
import { readStored } from '../support/faults/stored.ts';
import { makeRunFolder, run } from '../support/hostroom.ts';
import { needs } from '../support/needs.ts';
import { startPostgresServer } from '../support/postgresServer.ts';
import { RawClient } from '../support/rawClient.ts';
import { until } from '../support/until.ts';

const key = ({ host, boot, seq }: { host: string; boot: string; seq: number }): string => `${host} ${boot} ${seq}`;
const count = 5;

needs('linux', 'postgresql', 'pgDump').test(
  'a dump of a busy hub restored with a new epoch: all it held is there, agents bring what they still have, nothing is doubled',
  async () => {
    const server = await startPostgresServer();
    if (!server) throw new Error('PostgreSQL is installed, but no server');
    onTestFinished(() => server.close());
    const tool = (name: string, ...args: string[]): void => {
      const done = spawnSync(name, args, { encoding: 'utf8' });
      expect(done.status, `${name}: ${done.stderr}`).toBe(0);
    };
    const folder = makeRunFolder(onTestFinished);
    const [before, after] = ['before', 'after'].map((name) => withDatabase(server.url, name)) as [string, string];
    const sql = `create database before encoding 'UTF8' template template0`;
    tool('psql', '-q', '-d', server.url, '-c', sql);

    const ports = { PORT: String(await freePort('127.0.0.1')), OPS_PORT: String(await freePort('127.0.0.1')) };
    const first = await startTestApp(onTestFinished, { ...ports, DATABASE_URL: before, LIMIT_HANDSHAKES: '1000' });
    const person = await first.signIn();
    const group = ((await (await person.call('GET', '/groups')).json()) as { items: { id: string }[] }).items[0]!.id;
    const made = await person.call('POST', `/groups/${group}/enrolment-tokens`, { uses: count, expiresAt: Date.now() + 3_600_000 });
    const { token } = (await made.json()) as { token: string };
    const agents = Array.from({ length: count }, (_, index) => {
      const stateDir = join(folder, `agent${index}`);
      return startLoadAgent({ hubUrl: first.url, enrolmentToken: token, stateDir, name: `a${index}`, intervalMs: 100 });
    });
    onTestFinished(() => Promise.all(agents.map((agent) => agent.close())).then(() => undefined));
    await until(() => agents.every((agent) => agent.acknowledged >= 10), 'all agents are acknowledged', 30_000);
    const room = agents[0]!.host()!;
    await person.call('POST', `/rooms/${room}/messages`, { text: 'before the dump' });
    const socket = `${first.url.replace('http', 'ws')}/connection/websocket`;
    const viewer = await RawClient.connect(socket, person.accessToken);
    const { epoch, offset } = (await viewer.call('subscribe', { channel: `room:${room}`, positioned: true, recoverable: true })).subscribe;
    viewer.ws.close();

    // The hub runs on, and what is committed from here to the loss is what a restore cannot bring back.
    const dump = join(folder, 'hostroom.dump');
    tool('pg_dump', '-Fc', '-f', dump, '-d', before);
    const afterDump = agents.map((agent) => agent.acknowledged);
    await until(() => agents.every((agent, index) => agent.acknowledged > afterDump[index]! + 5), 'more is committed after the dump');
    await first.app.close();
    const acknowledged = new Set(agents.flatMap((agent) => agent.ledger().filter((one) => one.acknowledged)).map(key));
    // The disk is gone, with everything that the agents were told is safe since the dump.
    tool('psql', '-q', '-d', server.url, '-c', 'drop database before', '-c', sql.replace('before', 'after'));
    tool('pg_restore', '--exit-on-error', '--no-owner', '-d', after, dump);
    const hosts = agents.map((agent) => agent.host()!);
    const database = await openDatabase({ url: after, log: createLog('silent'), maxConnections: 2 });
    onTestFinished(() => database.close());
    const restored = new Set((await readStored(database.sql, hosts)).map(key));
    expect(restored.size).toBeGreaterThanOrEqual(count * 10);

    const renewed = await run(join(folder, 'data'), {
      program: 'migrateMain',
      args: ['--new-epoch'],
      environment: { DATABASE_URL: after },
    });
    expect(await renewed.ended, renewed.output()).toMatchObject({ code: 0 });
    await until(() => agents.every((agent) => agent.depth >= 5), 'agents keep what they cannot send');

    const second = await startTestApp(onTestFinished, { ...ports, DATABASE_URL: after, LIMIT_HANDSHAKES: '1000' });
    await until(() => agents.every((agent) => agent.link.connection), 'all agents are back', 60_000);
    for (const agent of agents) agent.stopSampling();
    await until(() => agents.every((agent) => agent.depth === 0), 'all that the agents kept is committed', 60_000);

    const rows = (await readStored(database.sql, hosts)).map(key);
    const stored = new Set(rows);
    const sent = agents.flatMap((agent) => agent.ledger());
    const missing = sent.filter((one) => !stored.has(key(one))).map(key);
    expect(rows.length, 'nothing is doubled').toBe(stored.size);
    expect(
      [...restored].filter((one) => !stored.has(one)),
      'nothing of the dump is lost',
    ).toEqual([]);
    // Gone is exactly what was committed after the dump and before the loss.
    expect(missing.toSorted()).toEqual([...acknowledged].filter((one) => !restored.has(one)).toSorted());
    printFigures('restore', {
      sent: sent.length,
      'in the dump': restored.size,
      'brought by agents afterwards': stored.size - restored.size,
      'committed between dump and loss, gone': missing.length,
      doubled: rows.length - stored.size,
    });

    const again = await second.signIn();
    const messages = (await (await again.call('GET', `/rooms/${room}/messages`)).json()) as { items: { text?: string }[] };
    expect(messages.items.map(({ text }) => text)).toContain('before the dump');
    // A position of before is worth nothing now, and a page is told so.
    const returned = await RawClient.connect(socket, again.accessToken);
    const recovered = (await returned.call('subscribe', { channel: `room:${room}`, recover: true, epoch, offset })).subscribe;
    returned.ws.close();
    expect(recovered).toMatchObject({ was_recovering: true });
    expect(recovered.recovered).not.toBe(true);
    expect(recovered.epoch).not.toBe(epoch);
  },
  180_000,
);
