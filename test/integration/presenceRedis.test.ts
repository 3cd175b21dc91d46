/** Who is in a room, over several replicas and a real Redis. */

import { expect, test } from 'vitest';
import { startPresence, times, type Member, type PresenceReplica } from '../support/presenceReplicas.ts';
import { onEachRedis } from '../support/onEachRedis.ts';
import { randomOf, seedFor } from '../support/seed.ts';
import { until } from '../support/until.ts';

const room = 'host:1';
const ids = (...members: { id: string }[]): Set<string> => new Set(members.map(({ id }) => id));
const sees = (member: Member, ...others: { id: string }[]): Promise<unknown> =>
  until(() => member.there !== undefined && member.there.symmetricDifference(ids(...others)).size === 0, `${member.id} sees who is there`);

onEachRedis('presence through Redis', (started) => {
  test('members on all replicas see each other come and go, once, and are counted together', async () => {
    const { all } = await startPresence((await started()).url, 3);
    const [a, b, c] = all as [PresenceReplica, PresenceReplica, PresenceReplica];
    const ann = await a.join(room, 'ann');
    const bob = await b.join(room, 'bob');
    await sees(ann, ann, bob);
    await sees(bob, ann, bob);
    const agent = c.attach(room);
    await sees(ann, ann, bob, agent);
    await sees(bob, ann, bob, agent);
    const again = await c.join(room, 'ann');
    await sees(again, ann, bob, agent, again);
    await until(async () => (await a.hub.presence.counts(room)).clients === 4);
    expect(await a.hub.presence.counts(room)).toEqual({ clients: 4, users: 3 });
    await until(async () => [...(await b.hub.presence.users(room))].toSorted().join() === 'agent,ann,bob');
    expect(await b.hub.presence.counts('host:2')).toEqual({ clients: 0, users: 0 });
    bob.leave();
    c.hub.remove(agent);
    await sees(ann, ann, again);
    await sees(again, ann, again);
    expect(ann.pushed.filter((push) => push === `join ${bob.id}`)).toHaveLength(1);
    expect(ann.pushed.filter((push) => push === `leave ${bob.id}`)).toHaveLength(1);
    expect(ann.pushed).toHaveLength(6);
  });

  test('whoever was on a replica that died is gone within its time, for members and for those who ask', async () => {
    const { all } = await startPresence((await started()).url, 3);
    const [a, b, c] = all as [PresenceReplica, PresenceReplica, PresenceReplica];
    const [ann, bob] = [await a.join(room), await b.join(room)];
    const agent = b.attach(room);
    await sees(ann, ann, bob, agent);
    await b.die();
    await until(() => ann.pushed.includes(`leave ${bob.id}`));
    await sees(ann, ann);
    await until(async () => (await c.hub.presence.counts(room)).clients === 1);
    expect(ann.pushed.filter((push) => push.startsWith('leave'))).toHaveLength(2);
  });

  test('a replica that ends takes its members with it at once', async () => {
    const { all } = await startPresence((await started()).url, 2);
    const [a, b] = all as [PresenceReplica, PresenceReplica];
    const [ann, bob] = [await a.join(room), await b.join(room)];
    await sees(ann, ann, bob);
    bob.leave();
    await sees(ann, ann);
  });

  test('in a room of many people only agents come visibly, nobody is listed, and all are counted', async () => {
    const { all } = await startPresence((await started()).url, 2);
    const [a, b] = all as [PresenceReplica, PresenceReplica];
    const first = await a.join(room);
    const early = await Promise.all(Array.from({ length: 30 }, (_, index) => b.join(room, `early ${index}`)));
    await sees(first, first, ...early);
    await Promise.all(Array.from({ length: 40 }, (_, index) => a.join(room, `late ${index}`)));
    await until(async () => (await b.hub.presence.counts(room)).clients === 71);
    expect(await a.hub.presence.everyone(room)).toBeUndefined();
    const before = first.pushed.length;
    const crowd = await Promise.all(Array.from({ length: 60 }, (_, index) => b.join(room, `crowd ${index % 20}`)));
    await until(async () => (await a.hub.presence.counts(room)).clients === 131);
    expect(await a.hub.presence.counts(room)).toEqual({ clients: 131, users: 1 + 30 + 40 + 20 });
    expect((await a.hub.presence.users(room)).size).toBe(91);
    expect(first.pushed).toHaveLength(before);
    // Whoever was seen to come is seen to leave, and agents always.
    early[0]!.leave();
    const agent = b.attach(room);
    await until(() => first.pushed.includes(`leave ${early[0]!.id}`) && first.pushed.includes(`join ${agent.id}`));
    expect(first.pushed).toHaveLength(before + 2);
    // Once there are few again, everyone is known again.
    for (const one of crowd) one.leave();
    await until(async () => (await a.hub.presence.counts(room)).clients === 71);
  });

  test('what the relay loses is found in Redis', async () => {
    const { all } = await startPresence((await started()).url, 2, { delayMs: () => 0, loses: () => true });
    const [a, b] = all as [PresenceReplica, PresenceReplica];
    const ann = await a.join(room);
    await sees(ann, ann);
    const bob = await b.join(room);
    await sees(ann, ann, bob);
    bob.leave();
    await sees(ann, ann);
    expect(ann.pushed.slice(1)).toEqual([`join ${bob.id}`, `leave ${bob.id}`]);
  });

  test('without Redis those here are seen, nobody leaves by it, and all is right when it is back', async () => {
    const server = await started();
    const { all, failures } = await startPresence(server.url, 2);
    const [a, b] = all as [PresenceReplica, PresenceReplica];
    const [ann, bob] = [await a.join(room), await b.join(room)];
    await sees(ann, ann, bob);
    await sees(bob, ann, bob);
    await server.kill();
    await until(() => a.link.isAway && b.link.isAway);
    const cleo = await a.join(room);
    await until(() => ann.there?.has(cleo.id));
    bob.leave();
    const dan = await b.join(room);
    await new Promise((resolve) => setTimeout(resolve, times.ttlMs));
    expect(await b.hub.presence.counts(room)).toEqual({ clients: 1, users: 1 });
    await server.start();
    await sees(ann, ann, cleo, dan);
    await sees(dan, ann, cleo, dan);
    // Nobody who stayed was seen to go.
    for (const { pushed } of [ann, cleo, dan])
      expect(pushed.filter((push) => push.startsWith('leave'))).toEqual(pushed.includes(`leave ${bob.id}`) ? [`leave ${bob.id}`] : []);
    expect(failures.length).toBeLessThan(20);
  });

  test('what is lost in Redis is told again, and what nobody of ours wrote is passed over', async () => {
    const server = await started();
    const { all, dropped } = await startPresence(server.url, 2);
    const [a, b] = all as [PresenceReplica, PresenceReplica];
    const [ann, bob] = [await a.join(room), await b.join(room)];
    await sees(ann, ann, bob);
    await server.flush();
    // Someone who comes now makes a replica read what is not told again yet.
    const cleo = await a.join(room);
    await until(async () => (await a.hub.presence.counts(room)).clients === 3 && (await b.hub.presence.counts(room)).clients === 3);
    await sees(bob, ann, bob, cleo);
    cleo.leave();
    await sees(bob, ann, bob);
    for (const { pushed } of [ann, bob]) expect(pushed.filter((push) => push.startsWith('leave'))).toEqual([`leave ${cleo.id}`]);
    const key = b.link.key('presence', 'made-up');
    for (const text of ['', '{', '[]', 'null', '{"people":-1,"agents":[]}', '{"people":1,"agents":[{"user":1,"client":"x"}]}']) {
      const before = dropped.length;
      await b.link.commands.hset(key, room, text);
      await b.link.commands.sadd(b.link.key('presence', 'replicas'), 'made-up');
      await until(() => dropped.length > before);
    }
    await until(async () => (await a.hub.presence.counts(room)).clients === 2);
    expect(ann.there).toEqual(ids(ann, bob));
  });

  test('what stands under our names and is none of ours makes room', async () => {
    const { all, failures } = await startPresence((await started()).url, 2);
    const [a, b] = all as [PresenceReplica, PresenceReplica];
    const [ann, bob] = [await a.join(room), await b.join(room)];
    await sees(ann, ann, bob);
    const replicas = a.link.key('presence', 'replicas');
    for (const name of [replicas, ...(await a.link.commands.smembers(replicas)).map((id) => a.link.key('presence', id))])
      await a.link.commands.set(name, 'no hash, no set');
    const cleo = await b.join(room);
    await sees(ann, ann, bob, cleo);
    expect(ann.pushed.filter((push) => push.startsWith('leave'))).toEqual([]);
    expect(failures.length).toBeLessThan(10);
  });

  test('whatever happens, everyone knows in the end who is there', async () => {
    const random = randomOf(seedFor('presence'));
    const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
    const server = await started();
    const { all } = await startPresence(server.url, 3, {
      delayMs: () => random() * 30,
      loses: () => random() < 0.3,
    });
    const rooms = ['host:1', 'room:2', 'room:3'];
    let members: Member[] = [];
    for (let step = 0; step < 150; step++) {
      const dice = random();
      if (dice < 0.55) members.push(await pick(all).join(pick(rooms)));
      else if (dice < 0.95 && members.length > 0) members.splice(Math.floor(random() * members.length), 1)[0]!.leave();
      else await server.flush();
      if (step % 10 === 0) await new Promise((resolve) => setTimeout(resolve, random() * 60));
    }
    for (const member of members) await sees(member, ...members.filter(({ room: name }) => name === member.room));
    for (const member of members) member.leave();
    members = [];
    for (const replica of all) for (const name of rooms) await until(async () => (await replica.hub.presence.counts(name)).clients === 0);
  });
});
