/** What every Relay holds, whatever carries the records. */

import { describe, expect, test } from 'vitest';
import type { Relay, RelayRecord } from '../../src/relay/relay.ts';
import { until } from '../support/until.ts';

export interface RelaysUnderTest {
  /** A relay of one more replica, not started. */
  open(): Relay;
  close(): Promise<void>;
}

interface Replica {
  relay: Relay;
  got: [string, RelayRecord][];
}

export function relayContract(name: string, prepare: () => Promise<RelaysUnderTest>): void {
  describe(`relay contract: ${name}`, () => {
    async function replicas(count: number): Promise<{ all: Replica[]; close: () => Promise<void> }> {
      const under = await prepare();
      const all = Array.from({ length: count }, (): Replica => ({ relay: under.open(), got: [] }));
      for (const { relay, got } of all) await relay.start((room, record) => void got.push([room, record]));
      return {
        all,
        close: async () => {
          for (const { relay } of all) await relay.close();
          await under.close();
        },
      };
    }

    /** Publishes until the follower hears: following may take a moment to reach everyone. */
    async function heard(from: Replica, to: Replica, room: string): Promise<void> {
      await until(() => {
        from.relay.publish(room, { data: '"probe"' });
        return to.got.some(([of]) => of === room);
      });
      from.relay.publish(room, { data: '"end"' });
      await until(() => to.got.at(-1)?.[1].data === '"end"');
      to.got.length = 0;
    }

    test('a record reaches every other replica that follows its room, whole, and never its own', async () => {
      const { all, close } = await replicas(3);
      const [a, b, c] = all as [Replica, Replica, Replica];
      for (const { relay } of all) relay.follow(new Set(['x']));
      await heard(a, b, 'x');
      await heard(a, c, 'x');
      const record: RelayRecord = { data: '{"text":"ü 😀 \\n"}', offset: 7, epoch: 'e', info: '{"user":"u"}' };
      a.relay.publish('x', record);
      for (const { got } of [b, c]) {
        await until(() => got.at(-1)?.[1].offset === 7);
        // What came before are the probes of the other one.
        expect(got.filter(([, { offset }]) => offset !== undefined)).toEqual([['x', record]]);
      }
      expect(a.got).toEqual([]);
      await close();
    });

    test('records of a room arrive in the order of publishing', async () => {
      const { all, close } = await replicas(2);
      const [a, b] = all as [Replica, Replica];
      b.relay.follow(new Set(['x', 'y']));
      await heard(a, b, 'x');
      await heard(a, b, 'y');
      for (let n = 1; n <= 500; n++) a.relay.publish(n % 2 ? 'x' : 'y', { data: String(n), offset: n, epoch: 'e' });
      await until(() => b.got.length === 500);
      for (const room of ['x', 'y']) {
        const numbers = b.got.filter(([of]) => of === room).map(([, { offset }]) => offset!);
        expect(numbers).toEqual(numbers.toSorted((one, other) => one - other));
        expect(numbers).toHaveLength(250);
      }
      await close();
    });

    test('rooms not followed, or not any more, are not delivered', async () => {
      const { all, close } = await replicas(2);
      const [a, b] = all as [Replica, Replica];
      b.relay.follow(new Set(['x']));
      await heard(a, b, 'x');
      b.relay.follow(new Set(['y']));
      await heard(a, b, 'y');
      a.relay.publish('x', { data: '1' });
      a.relay.publish('z', { data: '2' });
      a.relay.publish('y', { data: '3' });
      await until(() => b.got.some(([room]) => room === 'y'));
      expect(b.got.map(([room]) => room)).toEqual(['y']);
      await close();
    });

    test('publishing never throws, not even before the start or after the close', async () => {
      const under = await prepare();
      const relay = under.open();
      relay.publish('x', { data: '1' });
      await relay.start(() => undefined);
      await relay.close();
      relay.publish('x', { data: '1' });
      await under.close();
    });
  });
}
