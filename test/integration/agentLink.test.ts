import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { HubClock } from '../../agent/clock.ts';
import { newBoot } from '../../agent/identity.ts';
import { Link } from '../../agent/link.ts';
import { createLog } from '../../agent/log.ts';
import { Spool, type Draft } from '../../agent/spool.ts';
import { startAgentHub, type AgentHub } from '../support/agentHub.ts';
import { until } from '../support/until.ts';

interface TestLink {
  link: Link;
  spool: Spool;
  clock: HubClock;
  boot: string;
  done: Promise<void>;
  lines: { msg: string }[];
  /** Publishes `count` samples as if taken just now. */
  publish(count: number, takenMs?: number): void;
}

let hub: AgentHub;
let stateDir: string;
const links: Link[] = [];

beforeEach(async () => {
  hub = await startAgentHub();
  stateDir = mkdtempSync(join(tmpdir(), 'agent-'));
});

afterEach(async () => {
  for (const link of links.splice(0)) await link.close();
  await hub.close();
  rmSync(stateDir, { recursive: true });
  expect(hub.faults).toEqual([]);
});

function newLink(token: string | null = 'token'): TestLink {
  const lines: { msg: string }[] = [];
  const clock = new HubClock();
  const boot = newBoot();
  const spool = new Spool({ boot, clock });
  const link = new Link({
    hubUrl: hub.url,
    enrolmentToken: token ?? undefined,
    stateDir,
    name: 'test host',
    boot,
    version: '0',
    clock,
    spool,
    log: createLog('debug', (line) => lines.push(JSON.parse(line))),
    inventory: async () => undefined,
  });
  links.push(link);
  let seq = 0;
  const publish = (count: number, takenMs = performance.now()): void => {
    for (let index = 0; index < count; index += 1) {
      seq += 1;
      const draft: Draft = {
        kind: 'sample',
        boot,
        seq,
        takenMs,
        at: clock.isKnown ? clock.stamp(takenMs) : undefined,
        body: `"metrics":{"n":${seq}}`,
      };
      link.publish(draft);
    }
  };
  return { link, spool, clock, boot, lines, publish, done: link.start() };
}

const seqs = (publications: readonly { seq: number }[]): number[] => publications.map((one) => one.seq);
const upTo = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1);

test('enrols, connects with a token of its own, and forgets what was answered', async () => {
  const { publish, spool, boot, link } = newLink();
  await until(() => link.connection);
  publish(3);
  await until(() => spool.depth === 0);
  expect(seqs(hub.committed)).toEqual([1, 2, 3]);
  expect(hub.arrivals[0]).toMatchObject({ boot, connection: 1 });
  expect(hub.enrolled[0]).toMatchObject({ token: 'token', name: 'test host', publicKey: { kty: 'OKP', crv: 'Ed25519' } });
  const at = hub.committed.map((one) => one.at);
  expect(at).toEqual(at.toSorted((one, other) => one - other));
  expect(new Set(at).size).toBe(3);
  expect(Math.abs(Date.now() - at[0]!)).toBeLessThan(60_000);
});

test('the key lies in a file of its owner alone, and the next start uses it without a token', async () => {
  const first = newLink();
  await until(() => hub.arrivals.length === 1);
  await first.link.close();
  expect(statSync(join(stateDir, 'identity.json')).mode & 0o777).toBe(0o600);
  expect(JSON.parse(readFileSync(join(stateDir, 'identity.json'), 'utf8')).enrolment.hub).toBe(hub.hubId);
  newLink(null);
  await until(() => hub.arrivals.length === 2);
  expect(hub.enrolled).toHaveLength(1);
  expect(hub.arrivals[1]!.connection).toBe(1);
});

test('a refused token stops an agent that has nothing else', async () => {
  const { done } = newLink('spent');
  await expect(done).rejects.toThrow(/refused the enrolment token.*Make a new one/);
  rmSync(join(stateDir, 'identity.json'));
  await expect(newLink(null).done).rejects.toThrow('ENROLMENT_TOKEN');
});

test('a refused token does not stop an agent that is enrolled', async () => {
  const first = newLink();
  await until(() => hub.arrivals.length === 1);
  await first.link.close();
  const second = newLink('spent');
  await until(() => hub.arrivals.length === 2);
  expect(second.lines.map((line) => line.msg)).toContain(
    'the hub refused the enrolment token; going on as the host that is already enrolled',
  );
});

test('a new token makes a new host with a new key', async () => {
  const first = newLink();
  await until(() => hub.arrivals.length === 1);
  await first.link.close();
  hub.behaviour.tokens.add('another');
  newLink('another');
  await until(() => hub.arrivals.length === 2);
  expect(hub.enrolled).toHaveLength(2);
  expect(hub.enrolled[0]!.publicKey.x).not.toBe(hub.enrolled[1]!.publicKey.x);
});

test('samples taken before any contact are stamped at first contact, by the hub’s time', async () => {
  hub.behaviour.timeShiftMs = -3_600_000;
  const { publish, spool } = newLink();
  const takenMs = performance.now();
  publish(1, takenMs - 2_000);
  publish(1, takenMs - 1_000);
  await until(() => hub.committed.length === 2 && spool.depth === 0);
  const [first, second] = hub.committed;
  expect(second!.at - first!.at).toBe(1_000);
  expect(Math.abs(Date.now() - 3_600_000 - second!.at)).toBeLessThan(30_000);
});

test('temporary trouble keeps a publication until it is taken', async () => {
  let trouble = 2;
  hub.behaviour.onPublish = () => (trouble-- > 0 ? { code: 100, message: 'internal server error', temporary: true } : undefined);
  const { publish, spool, link } = newLink();
  await until(() => link.connection);
  publish(1);
  await until(() => spool.depth === 0);
  expect(seqs(hub.committed)).toEqual([1]);
  expect(hub.arrivals[0]!.published).toHaveLength(3);
  expect(link.refused).toBe(0);
});

test('any other refusal drops it, counted and told once', async () => {
  hub.behaviour.onPublish = ({ seq }) => (seq === 2 ? { code: 107, message: 'bad request' } : undefined);
  const { publish, spool, link, lines } = newLink();
  await until(() => link.connection);
  publish(3);
  await until(() => spool.depth === 0);
  expect(seqs(hub.committed)).toEqual([1, 3]);
  expect(link.refused).toBe(1);
  expect(lines.filter((line) => line.msg.includes('refused'))).toEqual([expect.objectContaining({ code: '107', count: 1 })]);
});

test('a wrong clock is corrected, the refused sample stamped anew', async () => {
  const { publish, spool, clock, link } = newLink();
  await until(() => link.connection);
  hub.behaviour.timeShiftMs = 3_600_000;
  hub.behaviour.onPublish = ({ at }) =>
    Math.abs(at - Date.now() - hub.behaviour.timeShiftMs) > 60_000 ? { code: 400, message: 'clock' } : undefined;
  publish(2);
  await until(() => spool.depth === 0);
  expect(seqs(hub.committed).toSorted((one, other) => one - other)).toEqual([1, 2]);
  expect(Math.abs(clock.timeAt(performance.now()) - Date.now() - 3_600_000)).toBeLessThan(10_000);
});

test('few unanswered ones are published again, oldest first, before what is new', async () => {
  hub.behaviour.onPublish = () => null;
  const { publish, spool, link } = newLink();
  await until(() => link.connection);
  publish(4);
  await until(() => hub.arrivals[0]!.published.length === 4);
  hub.behaviour.onPublish = () => undefined;
  hub.arrivals[0]!.socket.terminate();
  await until(() => hub.arrivals.length === 2);
  await until(() => spool.depth === 0);
  expect(seqs(hub.arrivals[1]!.published)).toEqual([1, 2, 3, 4]);
  expect(hub.arrivals[1]!.connection).toBe(2);
  expect(hub.arrivals[1]!.backfilled).toEqual([]);
});

test('many go behind by backfill, the newest live first, each batch within its limit', async () => {
  const { publish, spool, link } = newLink();
  await until(() => link.connection);
  hub.behaviour.onPublish = () => null;
  publish(450);
  await until(() => hub.arrivals[0]!.published.length === 450);
  hub.behaviour.onPublish = () => undefined;
  hub.arrivals[0]!.socket.terminate();
  await until(() => hub.arrivals.length === 2);
  await until(() => spool.depth === 0);
  const [, second] = hub.arrivals;
  expect(seqs(second!.published)).toEqual([450]);
  expect(second!.backfilled.map((batch) => batch.length)).toEqual([300, 149]);
  expect(seqs(second!.backfilled.flat())).toEqual(upTo(449));
});

test('old ones go by backfill even when they are few', async () => {
  const { publish, spool, link } = newLink();
  await until(() => link.connection);
  hub.behaviour.onPublish = () => null;
  publish(2, performance.now() - 120_000);
  await until(() => hub.arrivals[0]!.published.length === 2);
  hub.arrivals[0]!.socket.terminate();
  await until(() => spool.depth === 0);
  expect(seqs(hub.arrivals[1]!.backfilled.flat())).toEqual([1, 2]);
});

test('a backfill that is refused in part is counted, one that fails for now is sent again', async () => {
  let times = 0;
  hub.behaviour.onPublish = () => null;
  hub.behaviour.onBackfill = (publications) => {
    times += 1;
    if (times === 1) return { code: 100, message: 'internal server error', temporary: true };
    return { committed: publications.length - 1, refused: [{ at: publications[0]!.at, kind: 'sample', code: 'expired' }] };
  };
  const { publish, spool, link } = newLink();
  await until(() => link.connection);
  publish(20);
  await until(() => hub.arrivals[0]!.published.length === 20);
  hub.behaviour.onPublish = () => undefined;
  hub.arrivals[0]!.socket.terminate();
  await until(() => spool.depth === 0);
  expect(times).toBe(2);
  expect(link.refused).toBe(1);
});

test('a hub that comes back is found again, nothing is lost', async () => {
  const { publish, spool, link } = newLink();
  await until(() => link.connection);
  const port = Number(new URL(hub.url).port);
  const { enrolled, hubId } = hub;
  await hub.close();
  publish(5);
  hub = await startAgentHub(port);
  hub.hubId = hubId;
  hub.enrolled.push(...enrolled);
  await until(() => spool.depth === 0);
  expect(seqs(hub.committed)).toEqual([1, 2, 3, 4, 5]);
});

test('silence ends a connection that looks open', async () => {
  hub.behaviour.pingMs = 1_000;
  hub.behaviour.pings = false;
  newLink();
  await until(() => hub.arrivals.length === 2, 'a second connection', 25_000);
});

test('pings are answered', async () => {
  hub.behaviour.pingMs = 20;
  newLink();
  const arrival = await until(() => hub.arrivals[0]);
  let pongs = 0;
  arrival.socket.on('message', (data) => {
    if (String(data) === '{}') pongs += 1;
  });
  await until(() => pongs >= 3);
});

test.each([
  [4500, 'replaced', 'another agent uses this identity'],
  [3507, 'permission denied', 'enrol it again with a new token'],
  [3500, 'invalid token', 'enrol it again with a new token'],
])('close %i is told and not answered by hurry', async (code, reason, told) => {
  hub.behaviour.onConnect = () => ({ code, reason });
  const { lines, link } = newLink();
  await until(() => lines.some((line) => line.msg.includes(told)));
  expect(hub.arrivals).toHaveLength(1);
  // Stopping does not wait for the long pause.
  await link.close();
  expect(hub.arrivals).toHaveLength(1);
});

test('what the hub may not say is ignored or ends the connection, and nothing else happens', async () => {
  const { link, publish, spool } = newLink();
  const arrival = await until(() => hub.arrivals[0]);
  arrival.socket.send('{"push":{"message":{"data":{"run":"rm -rf /"}}}}\n{"id":12345,"rpc":{"data":1}}\n{"id":-1}\n{"connect":{}}');
  await until(() => (link.connection?.ignored ?? 0) >= 4);
  publish(1);
  await until(() => spool.depth === 0);
  for (const broken of ['not json', '[]', 'null', '"x"']) {
    const before = hub.arrivals.length;
    hub.arrivals.at(-1)!.socket.send(broken);
    await until(() => hub.arrivals.length > before, `a new connection after ${broken}`);
  }
});
