import { expect, onTestFinished, test } from 'vitest';
import { insertSamples } from '../../src/data/samples.ts';
import type { SampleRow } from '../../src/data/samples.ts';
import { newId } from '../../src/lib/id.ts';
import type { Sample } from '../../src/protocol/kinds.ts';
import { SampleStream } from '../../src/streams/samples.ts';
import { freshDatabase } from '../support/database.ts';

const boot = newId();
const sampleOf = (seq: number): Sample => ({ kind: 'sample', at: 1_700_000_000_000 + seq * 1000, seq, boot, metrics: { n: seq } });
const rowOf = (host: string, seq: number, over: Partial<SampleRow> = {}): SampleRow => {
  const { kind, at } = sampleOf(seq);
  return { host, kind, at, boot, seq, frame: JSON.stringify(sampleOf(seq)), ...over };
};

async function start(options: { maxBytes?: number; maxHosts?: number } = {}) {
  const database = await freshDatabase(onTestFinished);
  const stream = new SampleStream({ sql: database.sql, ...options });
  const host = newId();
  const add = (seq: number, pad = ''): void => stream.add(host, sampleOf(seq), JSON.stringify({ ...sampleOf(seq), pad }));
  const offsets = async (range: object = {}): Promise<number[]> =>
    (await stream.read(`host:${host}`, { limit: 300, ...range })).entries.map((entry) => entry.offset);
  return { ...database, database, stream, host, add, offsets };
}

test('what comes out of order is put into order, a resend changes nothing', async () => {
  const { add, offsets, stream, host } = await start();
  for (const seq of [1, 2, 5, 4, 3, 5, 1, 6]) add(seq);
  expect(await offsets()).toEqual([1, 2, 3, 4, 5, 6]);
  expect(stream.latest(host).sample?.seq).toBe(6);
});

test('memory and PostgreSQL together have no hole where either has the publication', async () => {
  const { sql, add, offsets, host } = await start();
  await insertSamples(sql, [rowOf(host, 1), rowOf(host, 2), rowOf(host, 3)]);
  for (const seq of [3, 4]) add(seq);
  expect(await offsets({ since: 0 })).toEqual([1, 2, 3, 4]);
});

test('beyond a hole that nobody can fill only the newest run is read', async () => {
  const { add, offsets } = await start();
  for (const seq of [1, 2, 4, 5]) add(seq);
  expect(await offsets({ since: 1 })).toEqual([4, 5]);
  expect(await offsets({ since: 3 })).toEqual([4, 5]);
  expect(await offsets({ reverse: true, limit: 9 })).toEqual([5, 4]);
});

test('an older boot in PostgreSQL does not mix with the one in memory', async () => {
  const { sql, add, offsets, host } = await start();
  await insertSamples(sql, [rowOf(host, 1, { boot: newId() }), rowOf(host, 2, { boot: newId() })]);
  add(3);
  expect(await offsets({ since: 0 })).toEqual([3]);
});

test('a straggler of an agent that started anew since changes nothing, whichever replica tells of it', async () => {
  const { host, offsets, stream } = await start();
  const [older, newer] = [newId(), newId()].toSorted() as [string, string];
  const tell = (of: string, seq: number, at: number): boolean =>
    stream.hear(host, { ...sampleOf(seq), boot: of, at }, JSON.stringify({ of, seq }));
  expect(tell(older, 7, 1_000)).toBe(true);
  expect(tell(older, 9, 3_000)).toBe(true);
  // Started later, by a clock that was put back.
  expect(tell(newer, 1, 2_500)).toBe(true);
  expect(tell(newer, 2, 4_000)).toBe(true);
  expect(tell(older, 8, 2_000)).toBe(false);
  expect(tell(older, 10, 4_000)).toBe(false);
  expect(await offsets({ since: 0, epoch: newer })).toEqual([1, 2]);
  // Two agents with one identity: the one that started first was announced again.
  expect(tell(older, 11, 5_000)).toBe(true);
  expect(await offsets({ epoch: older })).toEqual([11]);
});

test('300 publications and the bytes of a host bound what memory keeps', async () => {
  const { add, offsets } = await start({ maxBytes: 64 * 1024 });
  for (let seq = 1; seq <= 400; seq++) add(seq);
  expect(await offsets()).toHaveLength(300);
  for (let seq = 401; seq <= 410; seq++) add(seq, 'x'.repeat(10_000));
  expect((await offsets()).length).toBeLessThan(7);
  expect((await offsets()).at(-1)).toBe(410);
});

test('beyond the number of hosts the one heard of longest ago is forgotten', async () => {
  const { stream } = await start({ maxHosts: 2 });
  const hosts = [newId(), newId(), newId()];
  for (const host of hosts) stream.add(host, sampleOf(1), '{}');
  expect(hosts.map((host) => stream.latest(host).sample?.seq)).toEqual([undefined, 1, 1]);
});

test('without PostgreSQL memory answers what it can', async () => {
  const { database, add, offsets, stream } = await start();
  for (const seq of [7, 8]) add(seq);
  await database.close();
  expect(await offsets({ since: 2 })).toEqual([7, 8]);
  await expect(stream.read(`host:${newId()}`, { limit: 1 })).rejects.toThrow();
});
