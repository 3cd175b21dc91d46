/** Random work in one conversation on two replicas, held against a model: one order, no hole, whoever reads from wherever. */

import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ConversationParts } from '../../src/actions/conversation.ts';
import { editOwnMessage, postMessage, removeMessage } from '../../src/actions/postMessage.ts';
import type { Message } from '../../src/protocol/kinds.ts';
import { ConversationStream } from '../../src/streams/conversation.ts';
import { freshDatabase } from '../support/database.ts';
import { seedFor } from '../support/seed.ts';
import { startTestHub } from '../support/testHub.ts';
import type { TestHub } from '../support/testHub.ts';

let hub: TestHub;
beforeAll(async () => {
  hub = await startTestHub(afterAll, { database: await freshDatabase(afterAll) });
});

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ what: fc.constant('post' as const), author: fc.nat(4), key: fc.option(fc.nat(5)), on: fc.nat(1) }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('edit' as const), pick: fc.nat(), on: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('remove' as const), pick: fc.nat(), on: fc.nat(1) }) },
  {
    weight: 4,
    arbitrary: fc.record({ what: fc.constant('read' as const), since: fc.nat(40), limit: fc.integer({ min: 1, max: 20 }), on: fc.nat(1) }),
  },
);
/** Steps of one list start at once, the lists one after the other. */
const work = fc.array(fc.array(step, { minLength: 1, maxLength: 8 }), { minLength: 3, maxLength: 8 });

test('random posts, retries, edits and deletions: the order of commits is the order of offsets, and every position recovers what it lacks', async () => {
  const people = await Promise.all(Array.from({ length: 5 }, (_, i) => hub.addPerson('member', `author ${i}`)));
  const writer = (at: number) => ({ author: { id: people[at]!.id, name: people[at]!.name }, role: 'member' as const });
  await fc.assert(
    fc.asyncProperty(work, async (rounds) => {
      const { id } = await hub.addHost();
      const room = `room:${id}`;
      // What a replica publishes reaches the other one's stream, as a relay would bring it.
      const streams = [0, 1].map(() => new ConversationStream({ sql: hub.sql, epoch: 'e', freshMs: 5 }));
      const published: number[][] = [[], []];
      const replicas = streams.map((stream, at): ConversationParts => ({
        ...hub.conversation,
        stream,
        hub: {
          publish: (_room, { data, offset = 0, info }) => {
            published[at]!.push(offset);
            streams[1 - at]!.add(room, { offset, data, info });
          },
        },
      }));
      const posted: { message: Message; author: number }[] = [];
      const acknowledged = [0, 0];
      let retries = 0;
      for (const steps of rounds) {
        await Promise.all(
          steps.map(async (one) => {
            const parts = replicas[one.on]!;
            if (one.what === 'post') {
              const key = one.key === null ? undefined : String(one.key);
              const { message, created } = await postMessage(parts, writer(one.author), id, { text: `by ${one.author}`, key });
              if (!created) retries += 1;
              if (!posted.some((known) => known.message.id === message.id)) posted.push({ message, author: one.author });
              return;
            }
            if (one.what === 'read') {
              const atLeast = Math.max(0, ...published[one.on]!, acknowledged[one.on]!);
              const { top, entries } = await streams[one.on]!.read(room, { since: one.since, limit: one.limit });
              expect(top.offset).toBeGreaterThanOrEqual(atLeast);
              const expected = Math.max(0, Math.min(one.limit, top.offset - one.since));
              expect(entries.map((entry) => entry.offset)).toEqual(Array.from({ length: expected }, (_, i) => one.since + 1 + i));
              acknowledged[one.on] = Math.max(acknowledged[one.on]!, top.offset);
              return;
            }
            const target = posted[one.pick % Math.max(1, posted.length)];
            if (!target) return;
            const by = writer(target.author);
            const done =
              one.what === 'edit'
                ? editOwnMessage(parts, by, id, target.message.id, 'edited')
                : removeMessage(parts, by, id, target.message.id);
            // Another step may have removed it before.
            await done.catch((error: { code?: string }) => expect(error.code).toBe('not_found'));
          }),
        );
      }
      const stored = await hub.sql<{ offset: number; data: string }[]>`
        select "offset"::float8 as "offset", data from publication where room = ${id} order by "offset"`;
      const all = stored.map((row) => row.offset);
      expect(all).toEqual(Array.from({ length: all.length }, (_, i) => i + 1));
      // A retry shows once more what it finds; whoever has seen it is not shown it again.
      expect([...new Set(published.flat())].toSorted((a, b) => a - b)).toEqual(all);
      expect(published.flat()).toHaveLength(all.length + retries);
      const keys = await hub.sql<
        { n: number }[]
      >`select count(*)::int as n from message where room = ${id} group by author, key having key is not null`;
      expect(keys.every(({ n }) => n === 1)).toBe(true);
      const late = new ConversationStream({ sql: hub.sql, epoch: 'e' });
      for (const since of [0, 1, Math.floor(all.length / 2), all.length - 1, all.length].filter((offset) => offset >= 0)) {
        const { entries } = await late.read(room, { since, limit: 300 });
        expect(entries.map(({ offset, data }) => ({ offset, data }))).toEqual(stored.slice(since));
      }
    }),
    { seed: seedFor('conversation'), numRuns: 25, endOnFailure: true },
  );
}, 120_000);
