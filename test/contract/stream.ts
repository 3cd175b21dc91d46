/** What every Stream holds, whatever stands behind it. */

import { describe, expect, test } from 'vitest';
import type { Stream } from '../../src/hub/stream.ts';

export interface StreamUnderTest {
  stream: Stream;
  /** A room with nothing in it yet. */
  room: string;
  /** Puts `count` publications into the room, by the source's own numbering 1, 2, 3 …; `data` is the JSON text of the number. */
  fill(count: number): Promise<void>;
  close(): Promise<void>;
}

export function streamContract(name: string, open: () => Promise<StreamUnderTest>): void {
  describe(`stream contract: ${name}`, () => {
    /** Five publications in a room. */
    async function filled(): Promise<StreamUnderTest & { epoch: string }> {
      const under = await open();
      await under.fill(5);
      const { top } = await under.stream.read(under.room, { limit: 0 });
      return { ...under, epoch: top.epoch };
    }
    const offsets = async ({ stream, room }: StreamUnderTest, range: Parameters<Stream['read']>[1]): Promise<number[]> =>
      (await stream.read(room, range)).entries.map(({ offset }) => offset);

    test('an empty room has offset 0 and nothing to read', async () => {
      const under = await open();
      const { top, entries } = await under.stream.read(under.room, { limit: 10 });
      expect([top.offset, entries]).toEqual([0, []]);
      await under.close();
    });

    test('the position, and nothing else, with limit 0', async () => {
      const under = await filled();
      const { top, entries } = await under.stream.read(under.room, { limit: 0 });
      expect(top).toEqual({ epoch: expect.any(String) as string, offset: 5 });
      expect(top.epoch).not.toBe('');
      expect(entries).toEqual([]);
      await under.close();
    });

    test('ranges are exclusive, ascending, or descending where asked', async () => {
      const under = await filled();
      expect(await offsets(under, { since: 0, limit: 300 })).toEqual([1, 2, 3, 4, 5]);
      expect(await offsets(under, { since: 2, limit: 300 })).toEqual([3, 4, 5]);
      expect(await offsets(under, { since: 2, limit: 2 })).toEqual([3, 4]);
      expect(await offsets(under, { since: 5, limit: 300 })).toEqual([]);
      expect(await offsets(under, { since: 9, limit: 300 })).toEqual([]);
      expect(await offsets(under, { limit: 2 })).toEqual([1, 2]);
      expect(await offsets(under, { limit: 2, reverse: true })).toEqual([5, 4]);
      expect(await offsets(under, { since: 4, limit: 2, reverse: true })).toEqual([3, 2]);
      await under.close();
    });

    test('data is JSON text in one line', async () => {
      const under = await filled();
      const { entries } = await under.stream.read(under.room, { since: 0, limit: 300 });
      for (const { data } of entries) {
        expect(data).not.toMatch(/[\r\n]/);
        JSON.parse(data);
      }
      await under.close();
    });

    test('another epoch yields no entries, but the position', async () => {
      const under = await filled();
      const { top, entries } = await under.stream.read(under.room, { since: 0, limit: 300, epoch: 'another' });
      expect([top.epoch, top.offset, entries]).toEqual([under.epoch, 5, []]);
      expect(await offsets(under, { since: 0, limit: 300, epoch: under.epoch })).toHaveLength(5);
      await under.close();
    });

    test('the position goes on from where it was', async () => {
      const under = await filled();
      await under.fill(1);
      const { top } = await under.stream.read(under.room, { limit: 0 });
      expect(top).toEqual({ epoch: under.epoch, offset: 6 });
      await under.close();
    });
  });
}
