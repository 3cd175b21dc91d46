/** The version before beside the present one, on one database and one Redis, as in every rolling update. */

import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { freePort } from '../../src/lib/freePort.ts';
import { broken } from '../support/faults/checker.ts';
import type { LoadAgent } from '../support/faults/loadAgent.ts';
import { makeLoad } from '../support/faults/load.ts';
import { misunderstoodBy, readMetrics } from '../support/faults/misunderstood.ts';
import { startRig, type Rig } from '../support/faults/rig.ts';
import { judgeTalk, type StoredMessage } from '../support/faults/talkChecker.ts';
import { startReader, startTalker, type Reader, type Talker } from '../support/faults/talkers.ts';
import type { Viewer } from '../support/faults/viewer.ts';
import { makeRunFolder, run, type Hostroom } from '../support/hostroom.ts';
import { needs } from '../support/needs.ts';
import { migrationsOf, unpackPrevious, type PreviousName } from '../support/previous.ts';
import { startRedis } from '../support/redis.ts';
import { root } from '../support/app.ts';
import { until } from '../support/until.ts';

const messages = 20;
const agentsEach = 3;
const intervalMs = 100;

interface Versions {
  rig: Rig;
  previousRoot: string;
  /** Another hub on the same database and Redis, of this checkout or the one at `from`. */
  beside(from?: string): Promise<Hostroom>;
  /** The rig's hub stops in order, and one of that checkout takes its place. */
  replace(from?: string): Promise<void>;
}

/** The present version makes the schema; then the version before starts on it, as the rig's hub. */
async function startVersions(name: PreviousName): Promise<Versions> {
  const redis = await startRedis(onTestFinished);
  const folder = makeRunFolder(onTestFinished, 'hostroom-versions-');
  const { root: previousRoot } = unpackPrevious(folder, name);
  let from: string | undefined = previousRoot;
  let environment: Readonly<Record<string, string>> = {};
  const rig = await startRig(onTestFinished, {
    environment: { REDIS_URL: redis.url, SHUTDOWN_GRACE: '4s' },
    async start(_folder, given) {
      environment = given;
      const migrating = await run(join(folder, 'migrate'), { program: 'migrateMain', environment });
      expect(await migrating.ended, migrating.output()).toMatchObject({ code: 0 });
      return run(join(folder, 'first'), { environment, root: from });
    },
  });
  const stop = async (hub: Hostroom): Promise<void> => {
    hub.signal('SIGTERM');
    expect(await hub.ended, hub.output()).toMatchObject({ code: 0 });
  };
  return {
    rig,
    previousRoot,
    async beside(other) {
      const ports = { PORT: String(await freePort('127.0.0.1')), OPS_PORT: String(await freePort('127.0.0.1')) };
      const origins = { PUBLIC_URL: `http://localhost:${environment['PORT']}` };
      const hub = await run(join(folder, ports.PORT), { environment: { ...environment, ...ports, ...origins }, root: other });
      onTestFinished(async () => void (hub.child.exitCode === null && (await stop(hub))));
      await hub.ready();
      return hub;
    },
    async replace(other) {
      await stop(rig.hub);
      from = other;
      await rig.startHub();
    },
  };
}

/** Each sees the first of these. */
const watch = async (rig: Rig, agents: readonly LoadAgent[], hubUrl?: string): Promise<Viewer> => rig.view([agents[0]!.host()!], hubUrl);

async function judgeAll(rig: Rig, room: string, talkers: readonly Talker[], readers: readonly Reader[]): Promise<object> {
  await Promise.all(talkers.map(({ done }) => done));
  const stored = await rig.sql<StoredMessage[]>`
    select "offset"::int, key from message where room = ${room} and kind = 'message' order by "offset"`;
  const top = stored.at(-1)!.offset;
  await until(() => readers.every(({ read }) => read.some((item) => 'offset' in item && item.offset === top)), 'all is read');
  const {
    posted,
    stored: kept,
    faults,
  } = judgeTalk({
    posted: talkers.flatMap((talker) => talker.posted),
    stored,
    readers: readers.map(({ read }) => read),
  });
  return { posted, stored: kept, faults: Object.entries(faults).filter(([, count]) => count > 0) };
}

async function makeRoom(rig: Rig): Promise<string> {
  const answer = await rig.person.call('POST', '/hosts', { name: 'talk' });
  return ((await answer.json()) as { id: string }).id;
}

test('both versions that are kept run migrations that begin the present ones; one of them ends before', () => {
  const folder = makeRunFolder(onTestFinished, 'hostroom-versions-');
  const present = migrationsOf(root);
  for (const name of ['release', 'schema'] as const) {
    const previous = unpackPrevious(folder, name);
    const theirs = migrationsOf(previous.root);
    expect(previous.commit).toMatch(/^[0-9a-f]{40}$/);
    expect(present.slice(0, theirs.length)).toEqual(theirs);
    if (name === 'schema') expect(theirs.length).toBeLessThan(present.length);
  }
});

needs('linux', 'redis').test(
  'a hub of the schema before works on the present one: alone, beside the present hub, and again after a rollback',
  async () => {
    const { rig, previousRoot, beside, replace } = await startVersions('schema');
    expect(rig.hub.output()).toContain('the schema is newer than this build, but fits it');
    const room = await makeRoom(rig);
    const [olds, oldReader] = [await rig.load(agentsEach, { intervalMs }), await startReader(rig.hub.url, rig.token, room)];
    const talk = (hubUrl: string, name: string): Talker => startTalker(hubUrl, rig.token, { room, name, count: messages });
    const talkers = [talk(rig.hub.url, 'before')];
    onTestFinished(() => [...talkers, oldReader].forEach((one) => one.close()));
    await talkers[0]!.done;

    const present = await beside();
    const news = await rig.load(agentsEach, { intervalMs, hubUrl: present.url });
    const watched = [olds, news];
    // That old version tells other replicas nothing: only what stands in PostgreSQL is shared.
    const viewers = [await watch(rig, olds), await watch(rig, news, present.url)];
    const load = makeLoad(
      rig,
      [...olds, ...news],
      viewers,
      watched.map(([first]) => [first!]),
    );
    talkers.push(talk(rig.hub.url, 'beside'), talk(present.url, 'present'));
    await Promise.all(talkers.map(({ done }) => done));

    await replace(root);
    await load.untilAllAcknowledged();
    await replace(previousRoot);
    await load.untilAllAcknowledged();
    talkers.push(talk(rig.hub.url, 'rolled back'));
    await Promise.all(talkers.map(({ done }) => done));
    const page = (await (await rig.person.call('GET', `/rooms/${room}/messages`)).json()) as { items: { key?: string }[] };
    expect(page.items.filter(({ key }) => key?.startsWith('rolled back')).length).toBe(messages);
    const { verdict } = await load.settle();
    expect(broken(verdict)).toEqual({});
    expect(verdict.lost).toBe(0);
    expect((await rig.person.samples(news[0]!.host()!)).length).toBe(news[0]!.ledger().length);
    expect(await judgeAll(rig, room, talkers, [])).toEqual({ posted: 4 * messages, stored: 4 * messages, faults: [] });
  },
  90_000,
);

needs('linux', 'redis').test(
  'a hub of the last release and a present one show each other everything: samples, messages, presence, themselves',
  async () => {
    const { rig, beside } = await startVersions('release');
    const room = await makeRoom(rig);
    const present = await beside();
    const urls = [rig.hub.url, present.url];
    const readers = await Promise.all(urls.map((url) => startReader(url, rig.token, room)));
    const [olds, news] = await Promise.all(urls.map((hubUrl) => rig.load(agentsEach, { intervalMs, hubUrl })));
    const crossed = [
      { agents: news!, viewer: await watch(rig, news!, rig.hub.url) },
      { agents: olds!, viewer: await watch(rig, olds!, present.url) },
    ];
    const load = makeLoad(
      rig,
      [...olds!, ...news!],
      crossed.map(({ viewer }) => viewer),
      crossed.map(({ agents }) => [agents[0]!]),
    );
    const talkers = urls.map((url, i) => startTalker(url, rig.token, { room, name: `talker ${i}`, count: messages }));
    onTestFinished(() => [...talkers, ...readers].forEach((one) => one.close()));
    for (const { agents, viewer } of crossed) {
      const host = agents[0]!.host()!;
      const isAgentThere = async (): Promise<boolean> => (await viewer.present(host)).some(({ kind }) => kind === 'agent');
      await until(isAgentThere, 'the agent of the other version is in the list');
    }
    const replicas = async (): Promise<number> =>
      ((await (await rig.person.call('GET', '/replicas')).json()) as { items: unknown[] }).items.length;
    await until(async () => (await replicas()) === 2, 'the older one lists both');
    expect(await judgeAll(rig, room, talkers, readers)).toEqual({ posted: 2 * messages, stored: 2 * messages, faults: [] });
    const { verdict } = await load.settle();
    expect(broken(verdict)).toEqual({});
    expect(verdict.lost).toBe(0);
    expect(verdict.marks).toBe(crossed.length);

    // A host that is deleted on the older one loses its agent on the present one.
    const agentsHere = async (): Promise<number> => (await readMetrics(present.opsUrl))('hostroom_connections{kind="agent"}');
    expect(await agentsHere()).toBe(agentsEach);
    await rig.person.call('DELETE', `/hosts/${news![1]!.host()}`);
    await until(async () => (await agentsHere()) === agentsEach - 1, 'the present one hears it');
    for (const { opsUrl } of [rig.hub, present]) expect(await misunderstoodBy(opsUrl)).toEqual({});
  },
  90_000,
);
