/** R12: samples that come twice, out of order, or again much later. */

import { Centrifuge } from 'centrifuge';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import type { Sample } from '../../src/protocol/kinds.ts';
import { BrowserSocket } from '../support/browserSocket.ts';
import { freshDatabase } from '../support/database.ts';
import { printFigures, sized } from '../support/faults/scale.ts';
import { connectAgent } from '../support/samples.ts';
import { startTestHub } from '../support/testHub.ts';
import { until } from '../support/until.ts';

const count = 300;
const hosts = sized(5, 100);
const shuffleWindow = 50;

/** Duplicates a fifth, then moves everything by up to half a window. */
const disordered = fc
  .array(fc.record({ twice: fc.integer({ min: 0, max: 4 }), shift: fc.integer({ min: 0, max: shuffleWindow }) }), {
    minLength: count,
    maxLength: count,
  })
  .map((moves) =>
    moves
      .flatMap(({ twice, shift }, index) =>
        twice === 0
          ? [
              { index, place: index + shift },
              { index, place: index + shuffleWindow - shift },
            ]
          : [{ index, place: index + shift }],
      )
      .toSorted((a, b) => a.place - b.place)
      .map(({ index }) => index),
  );

test(
  'duplicated and shuffled samples: stored once each, shown in order, each at most once',
  async () => {
    const seed = Math.floor(Math.random() * 1e9);
    process.stdout.write(`shuffled samples: seed ${seed}\n`);
    const hub = await startTestHub(onTestFinished, { database: await freshDatabase(onTestFinished) });
    const person = await hub.addPerson('viewer');
    const figures = { hosts: 0, sent: 0, stored: 0, seen: 0, toldOfHoles: 0 };
    await fc.assert(
      fc.asyncProperty(disordered, async (order) => {
        const host = await hub.addHost();
        const agent = await connectAgent(hub, host);
        const client = new Centrifuge(hub.url, { websocket: BrowserSocket, token: person.accessToken, minReconnectDelay: 10 });
        const seen: number[] = [];
        let unrecovered = 0;
        const room = client.newSubscription(agent.room, { minResubscribeDelay: 10 });
        room.on('publication', ({ data }: { data: Sample }) => void seen.push(data.seq));
        room.on('subscribed', ({ wasRecovering, recovered }) => void (wasRecovering && !recovered && unrecovered++));
        room.subscribe();
        client.connect();
        await room.ready();
        // A room of which nothing is known takes any first offset for its beginning.
        const first = agent.sample();
        await agent.publish(first);
        const samples = Array.from({ length: count }, () => agent.sample());
        const replies = await Promise.all(order.map((index) => agent.publish(samples[index])));
        expect(replies.filter((reply) => reply.error)).toEqual([]);
        const stored = await hub.sql<
          { frame: string }[]
        >`select convert_from(frame, 'UTF8') as frame from sample_hot where host = ${host.id} order by at`;
        expect(stored.map((row) => JSON.parse(row.frame))).toEqual([first, ...samples]);
        // Whatever was skipped, the room goes on.
        const last = agent.sample();
        await until(async () => {
          await agent.publish(last);
          return seen.at(-1) === last.seq;
        });
        expect(seen).toEqual([...new Set(seen)].toSorted((a, b) => a - b));
        if (unrecovered === 0) expect(seen).toHaveLength(count + 2);
        figures.hosts += 1;
        figures.sent += order.length + 2;
        figures.stored += stored.length + 1;
        figures.seen += seen.length;
        figures.toldOfHoles += unrecovered;
        client.disconnect();
        await agent.client.close();
      }),
      { seed, numRuns: hosts, endOnFailure: true },
    );
    printFigures('R12 duplicates and disorder', figures);
  },
  sized(120_000, 900_000),
);
