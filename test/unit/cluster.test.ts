/** The decisions of many replicas as pure functions: who gives connections away, how fast, and how long a stop takes. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { deletionCost } from '../../src/cluster/deletionCost.ts';
import { admissionPerSecond, closeNow, drainBudget, drainEndMs, drainWindowMs, leastWindowMs } from '../../src/cluster/pace.ts';
import { fleetShedPerSecond, shedPerSecond } from '../../src/cluster/pace.ts';
import { countReceivers, decideShare, fairOf, fairShare, refusalChance, type FleetView } from '../../src/cluster/share.ts';
import { seedFor } from '../support/seed.ts';

const seed = seedFor('cluster decisions');

/** A fleet at rest in which this replica has `own` and the others `others`. */
const fleet = (own: number, others: number[], over: Partial<FleetView> = {}): FleetView => ({
  own,
  others: others.map((connections) => ({ connections, ageMs: 1_000 })),
  expected: others.length + 1,
  unchangedMs: 60_000,
  readyMs: 60_000,
  versions: 1,
  isAnyDraining: false,
  ...over,
});
const aged = (ageMs: number): Partial<FleetView> => ({ others: [{ connections: 0, ageMs }] });

describe('fair share', () => {
  test.each([
    [0, 1, 0],
    [600, 3, 200],
    [601, 3, 201],
    [5, 10, 1],
    [7, 0, 7],
  ])('%i connections on %i replicas: %i', (total, replicas, share) => expect(fairShare(total, replicas)).toBe(share));

  test('the shares hold everybody, and no replica more than one too many', () =>
    fc.assert(
      fc.property(fc.nat(2_000_000), fc.integer({ min: 1, max: 5_000 }), (total, replicas) => {
        const share = fairShare(total, replicas);
        return share * replicas >= total && (share - 1) * replicas < Math.max(1, total);
      }),
      { seed },
    ));
});

describe('shedding', () => {
  test.each<[string, FleetView, boolean, unknown]>([
    ['one replica', fleet(1000, []), false, { act: 'keep', why: 'alone' }],
    ['1 → 3 with 600', fleet(600, [0, 0]), false, { act: 'shed', surplus: 390, fair: 200 }],
    ['no new replica', fleet(200, [200, 200]), false, { act: 'keep', why: 'balanced' }],
    ['a little more than 15 % over, of few', fleet(240, [180, 180]), false, { act: 'keep', why: 'balanced' }],
    ['the same, begun already', fleet(240, [180, 180]), true, { act: 'shed', surplus: 30, fair: 200 }],
    ['at 5 % over, begun already', fleet(210, [195, 195]), true, { act: 'keep', why: 'balanced' }],
    ['some replica stops', fleet(600, [0, 0], { isAnyDraining: true }), true, { act: 'keep', why: 'draining' }],
    ['a row is 6 s old', fleet(600, [], { ...aged(6_000), expected: 2 }), false, { act: 'keep', why: 'stale' }],
    ['a row is fresh', fleet(600, [], { ...aged(5_999), expected: 2 }), false, { act: 'shed', surplus: 285, fair: 300 }],
    ['a replica that says nothing', fleet(600, [0, 0], { expected: 4 }), false, { act: 'keep', why: 'stale' }],
    ['one that the API server does not know', fleet(600, [0, 0], { expected: 2 }), false, { act: 'keep', why: 'stale' }],
    ['no API server', fleet(600, [0, 0], { expected: undefined }), false, { act: 'shed', surplus: 390, fair: 200 }],
    ['a rollout', fleet(600, [0, 0], { versions: 2 }), false, { act: 'keep', why: 'rollout' }],
    ['just scaled', fleet(600, [0, 0], { unchangedMs: 19_999 }), false, { act: 'keep', why: 'changing' }],
    ['just started', fleet(600, [0, 0], { readyMs: 29_999 }), false, { act: 'keep', why: 'young' }],
  ])('%s', (_what, view, isShedding, verdict) => expect(decideShare(view, isShedding)).toEqual(verdict));

  const anyFleet = fc.record({ own: fc.nat(100_000), others: fc.array(fc.nat(100_000), { maxLength: 40 }), isShedding: fc.boolean() });

  test('never below the share, only by those above it, and never all at once', () =>
    fc.assert(
      fc.property(anyFleet, ({ own, others, isShedding }) => {
        const all = [own, ...others];
        const verdicts = all.map((mine, at) => decideShare(fleet(mine, all.toSpliced(at, 1)), isShedding));
        const shed = verdicts.filter((verdict) => verdict.act === 'shed');
        for (const [at, verdict] of verdicts.entries()) {
          if (verdict.act === 'shed')
            expect(all[at]! - verdict.surplus).toBeGreaterThanOrEqual(fairOf(fleet(all[at]!, all.toSpliced(at, 1))));
        }
        expect(shed.length).toBeLessThan(all.length);
      }),
      { seed },
    ));

  test('whoever is more than 15 % and 20 over its share begins, where nothing speaks against it', () =>
    fc.assert(
      fc.property(anyFleet, ({ own, others }) => {
        const view = fleet(own, others);
        const isOver = own > fairOf(view) * 1.15 + 20 && others.length > 0;
        expect(decideShare(view, false).act).toBe(isOver ? 'shed' : 'keep');
      }),
      { seed },
    ));

  test('any fleet comes to rest with everybody within 15 % and 20 of the share, and nobody is lost', () =>
    fc.assert(
      fc.property(fc.array(fc.nat(5_000), { minLength: 2, maxLength: 20 }), fc.infiniteStream(fc.nat(1_000_000)), (start, random) => {
        let counts = start;
        const shedding = counts.map(() => false);
        const total = counts.reduce((sum, count) => sum + count, 0);
        const seen = (at: number): FleetView => fleet(counts[at]!, counts.toSpliced(at, 1));
        const anywhere = (): number => (random.next().value as number) % counts.length;
        let rounds = 0;
        for (; rounds < 400; rounds++) {
          const verdicts = counts.map((_, at) => decideShare(seen(at), shedding[at]!));
          const leaving = verdicts.map((verdict, at) =>
            verdict.act === 'shed' ? Math.ceil(Math.min(verdict.surplus, 2 * shedPerSecond(counts[at]!))) : 0,
          );
          for (const at of counts.keys()) shedding[at] = verdicts[at]!.act === 'shed';
          if (!shedding.includes(true)) break;
          counts = counts.map((count, at) => count - leaving[at]!);
          const moved = leaving.reduce((sum, count) => sum + count, 0);
          for (let client = 0; client < moved; client++) {
            // As through a proxy: who is refused is offered to the next.
            let at = anywhere();
            for (let tries = 0; tries < counts.length && (random.next().value as number) / 1_000_000 < refusalChance(seen(at)); tries++) {
              at = (at + 1) % counts.length;
            }
            counts[at]!++;
          }
        }
        expect(rounds).toBeLessThan(400);
        expect(counts.reduce((sum, count) => sum + count, 0)).toBe(total);
        expect(Math.max(...counts)).toBeLessThanOrEqual(fairShare(total, counts.length) * 1.15 + 20);
      }),
      { seed, numRuns: 30 },
    ));
});

describe('refusing new connections', () => {
  test.each<[string, FleetView, number]>([
    ['alone', fleet(1000, []), 0],
    ['at the share', fleet(200, [200, 200]), 0],
    ['far over it', fleet(600, [0, 0]), 0.8],
    ['half way', fleet(230, [185, 185]), 0.4],
    ['over it, and nobody is known to be below', fleet(600, [600, 600]), 0],
    ['some replica stops', fleet(600, [0, 0], { isAnyDraining: true }), 0],
    ['on old news', fleet(600, [], aged(7_000)), 0],
    ['balancers do not know the others yet', fleet(600, [0, 0], { unchangedMs: 9_999 }), 0],
    ['now they do', fleet(600, [0, 0], { unchangedMs: 10_000 }), 0.8],
  ])('%s', (_what, view, chance) => expect(refusalChance(view)).toBeCloseTo(chance, 10));

  test('never certain, and some replica always takes everybody', () =>
    fc.assert(
      fc.property(fc.array(fc.nat(10_000), { minLength: 1, maxLength: 30 }), (counts) => {
        const chances = counts.map((own, at) => refusalChance(fleet(own, counts.toSpliced(at, 1))));
        for (const chance of chances) expect(chance >= 0 && chance <= 0.8).toBe(true);
        expect(Math.min(...chances)).toBe(0);
      }),
      { seed },
    ));
});

describe('the pace of shedding', () => {
  test.each([
    [10, 10],
    [600, 12],
    [2_500, 50],
    [100_000, 200],
  ])('%i connections: %i a second', (connections, perSecond) => expect(shedPerSecond(connections)).toBe(perSecond));

  test.each([
    [1, 200],
    [2, 200],
    [100, 10_000],
  ])('%i receivers: %i a second of the whole fleet', (receivers, perSecond) => expect(fleetShedPerSecond(receivers)).toBe(perSecond));

  test('receivers are those below the share', () => expect(countReceivers(fleet(600, [0, 0, 600]))).toBe(2));
});

describe('the stop', () => {
  test.each([
    [120_000, { settleMs: 10_000, windowMs: 95_000, flushMs: 15_000, isShort: false }],
    [30_000, { settleMs: 10_000, windowMs: 5_000, flushMs: 15_000, isShort: false }],
    [10_000, { settleMs: 3_333, windowMs: 1_667, flushMs: 5_000, isShort: true }],
    [3_000, { settleMs: 1_000, windowMs: 500, flushMs: 1_500, isShort: true }],
    [0, { settleMs: 0, windowMs: 0, flushMs: 0, isShort: true }],
  ])('a grace of %i ms', (graceMs, budget) => expect(drainBudget(graceMs)).toEqual(budget));

  test.each([
    ['few', { draining: 100, survivors: 2 }, leastWindowMs],
    ['8 of 10 with 40,000', { draining: 40_000, survivors: 2 }, 100_000],
    ['1 of 10 with 5,000', { draining: 5_000, survivors: 9 }, leastWindowMs],
    ['nobody stays', { draining: 10, survivors: 0 }, Infinity],
    ['nobody stays, nobody goes', { draining: 0, survivors: 0 }, leastWindowMs],
  ])('the window of %s', (_what, view, windowMs) => expect(drainWindowMs(view)).toBe(windowMs));

  test('a second replica that stops puts the end off, and never past the latest', () => {
    const at = { nowMs: 1_000, endMs: 6_000, latestMs: 30_000 };
    expect(drainEndMs({ draining: 500, survivors: 1 }, at)).toBe(6_000);
    expect(drainEndMs({ draining: 4_000, survivors: 1 }, at)).toBe(21_000);
    expect(drainEndMs({ draining: 40_000, survivors: 1 }, at)).toBe(30_000);
    expect(drainEndMs({ draining: 1, survivors: 0 }, at)).toBe(30_000);
  });

  test('everybody is closed by the end, at an even pace, within what the survivors take in where the time allows it', () =>
    fc.assert(
      fc.property(
        fc.record({
          pods: fc.array(fc.integer({ min: 0, max: 3_000 }), { minLength: 1, maxLength: 20 }),
          survivors: fc.integer({ min: 1, max: 20 }),
          latestMs: fc.integer({ min: leastWindowMs, max: 95_000 }),
          chances: fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })),
        }),
        ({ pods, survivors, latestMs, chances }) => {
          const tickMs = 250;
          const chance = (): number => chances.next().value as number;
          let left = pods;
          const sum = (counts: number[]): number => counts.reduce((total, count) => total + count, 0);
          const needed = drainWindowMs({ draining: sum(left), survivors });
          let endMs = Math.min(latestMs, needed);
          const closed: number[] = [];
          for (let nowMs = 0; sum(left) > 0; nowMs += tickMs) {
            expect(nowMs).toBeLessThanOrEqual(endMs);
            endMs = drainEndMs({ draining: sum(left), survivors }, { nowMs, endMs, latestMs });
            const closing = left.map((count) => closeNow({ left: count, nowMs, endMs, tickMs }, chance()));
            closed.push(sum(closing));
            left = left.map((count, at) => count - closing[at]!);
          }
          expect(sum(closed)).toBe(sum(pods));
          if (needed < latestMs) {
            // Each replica may round one up in a tick; over a second that evens out.
            const perSecond = closed.map((_, at) => sum(closed.slice(at, at + 4)));
            expect(Math.max(0, ...perSecond)).toBeLessThanOrEqual(survivors * admissionPerSecond + 4 * pods.length);
          }
        },
      ),
      { seed },
    ));
});

describe('what the deletion of a pod costs', () => {
  test.each([
    [0, 0],
    [1, 1],
    [2, 2],
    [3, 2],
    [255, 8],
    [256, 9],
    [100_000, 17],
  ])('%i connections: %i', (connections, cost) => expect(deletionCost(connections)).toBe(cost));

  test('more connections never cost less', () =>
    fc.assert(
      fc.property(fc.nat(1e6), fc.nat(1e6), (a, b) => deletionCost(Math.max(a, b)) >= deletionCost(Math.min(a, b))),
      { seed },
    ));
});
