/** Questions by key: gathered, remembered for a while, never answered with what was forgotten meanwhile. */

import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Lookup, type LookupOptions } from '../../src/lib/lookup.ts';

/** A lookup whose source is a map, with the keys of each load. */
function over(source: Map<string, number>, options: Partial<LookupOptions<number>> = {}) {
  const loads: string[][] = [];
  const lookup = new Lookup<number>({
    load: async (keys) => {
      loads.push([...keys]);
      await turn();
      return new Map(keys.flatMap((key) => (source.has(key) ? [[key, source.get(key)!]] : [])));
    },
    keepMs: () => 60_000,
    maxKept: 100,
    ...options,
  });
  return { lookup, loads };
}

test('a thousand questions at once are one load, asked again they are none', async () => {
  const keys = Array.from({ length: 1_000 }, (_, at) => `k${at}`);
  const { lookup, loads } = over(new Map(keys.map((key, at) => [key, at])), { maxKept: 1_000 });
  const answers = await Promise.all([...keys, ...keys].map((key) => lookup.get(key)));
  expect(answers).toEqual([...keys.keys(), ...keys.keys()]);
  expect(loads).toEqual([keys]);
  expect(await Promise.all(keys.map((key) => lookup.get(key)))).toEqual([...keys.keys()]);
  expect(loads).toHaveLength(1);
});

test('what comes right behind a load is gathered, and a load has an end', async () => {
  const { lookup, loads } = over(new Map(), { gatherMs: 20 });
  await lookup.get('first');
  const rest = [];
  for (let at = 0; at < 1_500; at++) {
    rest.push(lookup.get(`k${at}`));
    if (at % 500 === 0) await turn();
  }
  await Promise.all(rest);
  expect(loads.map((keys) => keys.length)).toEqual([1, 1_000, 500]);
});

test('nothing is remembered of what does not exist, nor beyond the bound', async () => {
  const source = new Map(Array.from({ length: 5 }, (_, at) => [`k${at}`, at]));
  const { lookup, loads } = over(source, { maxKept: 3, gatherMs: 0 });
  expect(await lookup.get('none')).toBeUndefined();
  source.set('none', 7);
  expect(await lookup.get('none')).toBe(7);
  for (const key of ['k0', 'k1', 'k2', 'k3']) await lookup.get(key);
  expect(lookup.size).toBe(3);
  await lookup.get('k3');
  await lookup.get('k0');
  expect(loads.flat()).toEqual(['none', 'none', 'k0', 'k1', 'k2', 'k3', 'k0']);
});

test('an answer under way is worth nothing once its key is forgotten', async () => {
  const source = new Map([['a', 1]]);
  const gate = Promise.withResolvers<void>();
  let held = 0;
  const { lookup } = over(source, {
    load: async (keys) => {
      const found = new Map(keys.map((key) => [key, source.get(key)!]));
      if (held++ === 0) await gate.promise;
      return found;
    },
  });
  const before = lookup.get('a');
  await turn();
  source.set('a', 2);
  lookup.forget('a');
  const after = lookup.get('a');
  expect(await after).toBe(2);
  gate.resolve();
  expect(await before).toBe(2);
  expect(await lookup.get('a')).toBe(2);
});

test('answers age, and are forgotten by what they say, or all', async () => {
  const source = new Map([
    ['a', 1],
    ['b', 2],
  ]);
  let keepMs = 60_000;
  const { lookup, loads } = over(source, { keepMs: () => keepMs, gatherMs: 0 });
  await Promise.all([lookup.get('a'), lookup.get('b')]);
  lookup.forgetWhere((value) => value === 2);
  await Promise.all([lookup.get('a'), lookup.get('b')]);
  keepMs = 0;
  await lookup.get('a');
  keepMs = 60_000;
  lookup.forgetAll();
  await Promise.all([lookup.get('a'), lookup.get('b')]);
  expect(loads).toEqual([['a', 'b'], ['b'], ['a'], ['a', 'b']]);
});

test('a source that is away fails those who ask, and nobody after', async () => {
  const source = new Map([['a', 1]]);
  let isAway = true;
  const { lookup } = over(source, {
    load: async () => {
      await turn();
      if (isAway) throw new Error('away');
      return source;
    },
    gatherMs: 0,
  });
  const both = await Promise.allSettled([lookup.get('a'), lookup.get('a')]);
  expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  isAway = false;
  expect(await lookup.get('a')).toBe(1);
});
