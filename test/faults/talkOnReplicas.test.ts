/** R17: many people post into one conversation over three replicas, with retries, while replicas are killed at random. */

import { setTimeout as wait } from 'node:timers/promises';
import { expect, onTestFinished } from 'vitest';
import { needs } from '../support/needs.ts';
import { killReplica, untilReplicasReady } from '../support/faults/cluster.ts';
import { startRig } from '../support/faults/rig.ts';
import { printFigures, sized } from '../support/faults/scale.ts';
import { judgeTalk, type StoredMessage } from '../support/faults/talkChecker.ts';
import { startReader, startTalker } from '../support/faults/talkers.ts';
import { randomOf, seedFor } from '../support/seed.ts';
import { until } from '../support/until.ts';

const messages = sized(600, 10_000);
const talkerCount = sized(6, 25);
const readerCount = sized(6, 30);
const replicas = 3;

needs('linux', 'nginx', 'redis').test(
  'three replicas post into one conversation while they are killed: each message once, in one order for all readers',
  async () => {
    const seed = seedFor('R17');
    const random = randomOf(seed);
    const rig = await startRig(onTestFinished, { replicas });
    const { hub, token, sql } = rig;
    const answer = await rig.person.call('POST', '/hosts', { name: 'talk' });
    const { id: room } = (await answer.json()) as { id: string };
    const readers = await Promise.all(Array.from({ length: readerCount }, () => startReader(hub.url, token, room)));
    const startedMs = performance.now();
    const talkers = Array.from({ length: talkerCount }, (_, i) =>
      startTalker(hub.url, token, { room, name: `talker ${i}`, count: messages / talkerCount }),
    );
    onTestFinished(() => [...talkers, ...readers].forEach((one) => one.close()));
    let isDone = false;
    const done = Promise.all(talkers.map((talker) => talker.done)).finally(() => (isDone = true));
    let kills = 0;
    while (!isDone) {
      await wait(sized(200, 3_000) + random() * sized(600, 6_000));
      if (isDone || (kills > 0 && sized(true, false))) break;
      killReplica(rig.folder, random());
      kills += 1;
      await untilReplicasReady(rig.folder, replicas);
    }
    await done;
    const tookMs = performance.now() - startedMs;
    const stored = await sql<StoredMessage[]>`
      select "offset"::int, key from message where room = ${room} and kind = 'message' order by "offset"`;
    const top = stored.at(-1)!.offset;
    const hasAll = (): boolean => readers.every(({ read }) => read.some((item) => 'offset' in item && item.offset === top));
    // What is missing is for the checker to tell.
    await until(hasAll, 'all readers are at the end', 30_000).catch(() => undefined);
    const verdict = judgeTalk({ posted: talkers.flatMap(({ posted }) => posted), stored, readers: readers.map(({ read }) => read) });
    printFigures('R17 one conversation over three replicas', {
      seed,
      talkers: talkerCount,
      readers: readerCount,
      kills,
      retries: talkers.reduce((sum, talker) => sum + talker.retries, 0),
      perSecond: Math.round((messages / tookMs) * 1_000),
      ...verdict,
    });
    expect(verdict.posted).toBe(messages);
    expect(verdict.stored).toBe(messages);
    expect(kills).toBeGreaterThan(0);
    expect(Object.entries(verdict.faults).filter(([, count]) => count > 0)).toEqual([]);
  },
  sized(120_000, 600_000),
);
