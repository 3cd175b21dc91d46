import { expect, test } from 'vitest';
import { HubClock, ClockWatch } from '../../../agent/clock.ts';
import { Spool, textOf, type Draft } from '../../../agent/spool.ts';

const draft = (seq: number, kind: Draft['kind'] = 'sample'): Draft => ({
  kind,
  boot: 'b',
  seq,
  takenMs: seq,
  at: seq,
  body: '"metrics":{}',
});

test('gives back what was not forgotten, oldest first', () => {
  const spool = new Spool({ boot: 'b', clock: new HubClock() });
  const entries = [1, 2, 3, 4, 5].map((seq) => spool.add(draft(seq)));
  spool.forget(entries[1]!);
  spool.forget(entries[1]!);
  spool.forget({ ...draft(3), inFlight: false });
  expect([...spool.unacknowledged()].map((entry) => entry.seq)).toEqual([1, 3, 4, 5]);
  expect(spool.depth).toBe(4);
});

test('drops the oldest beyond its limit, counted, samples and processes apart', () => {
  const spool = new Spool({ boot: 'b', clock: new HubClock() });
  for (let seq = 1; seq <= 700; seq += 1) spool.add(draft(seq, seq % 10 === 0 ? 'processes' : 'sample'));
  const kept = [...spool.unacknowledged()];
  expect(kept.filter((entry) => entry.kind === 'sample')).toHaveLength(600);
  expect(kept.filter((entry) => entry.kind === 'processes')).toHaveLength(70);
  expect(spool.dropped).toBe(30);
  expect(spool.depth).toBe(670);
});

test('large samples are bounded by their bytes', () => {
  const spool = new Spool({ boot: 'b', clock: new HubClock() });
  for (let seq = 1; seq <= 300; seq += 1) spool.add({ ...draft(seq), body: 'x'.repeat(100_000) });
  expect(spool.depth).toBe(167);
  expect(spool.dropped).toBe(133);
  for (const entry of [...spool.unacknowledged()]) spool.forget(entry);
  for (let seq = 301; seq <= 400; seq += 1) spool.add({ ...draft(seq), body: 'x'.repeat(100_000) });
  expect([spool.depth, spool.dropped]).toEqual([100, 133]);
});

test('the text is the publication', () => {
  expect(JSON.parse(textOf(draft(7)))).toEqual({ kind: 'sample', at: 7, seq: 7, boot: 'b', metrics: {} });
});

test('the clock takes the middle of the question as the moment of the answer', () => {
  const clock = new HubClock();
  expect(clock.isKnown).toBe(false);
  expect(clock.sync(1_000_100, 50, 150)).toBe('first');
  expect(clock.stamp(200)).toBe(1_000_200);
});

test('corrections under 250 ms are ignored, larger ones move what comes after', () => {
  const clock = new HubClock();
  clock.sync(1_000_000, 0, 0);
  expect(clock.sync(1_001_249, 1_000, 1_000)).toBe('kept');
  expect(clock.timeAt(2_000)).toBe(1_002_000);
  expect(clock.sync(1_002_300, 2_000, 2_000)).toBe('corrected');
  expect(clock.timeAt(3_000)).toBe(1_003_300);
});

test('a stamp is always greater than the one before', () => {
  const clock = new HubClock();
  clock.sync(1_000_000, 0, 0);
  expect([clock.stamp(0), clock.stamp(0.2), clock.stamp(1)]).toEqual([1_000_000, 1_000_001, 1_000_002]);
  clock.sync(999_000, 1_000, 1_000);
  expect(clock.stamp(1_001)).toBe(1_000_003);
});

test('after a step back of more than a minute the hub would refuse to count on', () => {
  const clock = new HubClock();
  clock.sync(10_000_000, 0, 0);
  clock.stamp(0);
  clock.sync(6_400_000, 0, 0);
  expect(clock.stamp(1_000)).toBe(6_401_000);
});

test('a jump of the wall clock or a sleep is seen once', () => {
  const watch = new ClockWatch();
  expect([
    watch.hasJumped(1_000, 0),
    watch.hasJumped(2_010, 1_000),
    watch.hasJumped(60_000, 2_000),
    watch.hasJumped(61_000, 3_000),
  ]).toEqual([false, false, true, false]);
});
