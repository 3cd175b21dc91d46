import { expect, test } from 'vitest';
import type { Event } from '../../../src/protocol/kinds.ts';
import { noteOf, wordsOf } from '../../../web/src/components/eventWords.ts';
import { clockSeconds } from '../../../web/src/lib/format.ts';
import { filledGaps } from '../../../web/src/state/timeline.ts';

const at = 1_763_647_200_000;
const gap = (details: Event['details'], lengthMs = 90_000): Event => ({
  kind: 'event',
  id: 'e',
  room: 'r',
  what: 'gap_filled',
  at,
  until: at + lengthMs,
  createdAt: at + lengthMs + 10_000,
  details,
});
const range = `${clockSeconds(at)} – ${clockSeconds(at + 90_000)}`;

test('a filled gap tells from when to when, why and how many came late', () => {
  const event = gap({ samples: 91, why: 'connection,hub,sunspots' });
  expect(wordsOf(event)).toEqual(['Gap filled', '91\u202fs from the agent’s buffer']);
  expect(noteOf(event)).toEqual([`${range} · 91 samples · no connection to the hub, the hub could not store`]);
});

test('an event of an older hub has a count alone', () => {
  expect(noteOf(gap({ samples: 1 }))).toEqual([`${range} · 1 sample`]);
});

test('what is lost is told with its own range and reason', () => {
  const event = gap({ samples: 60, why: 'restart', lost: 31, lostFrom: at, lostUntil: at + 30_000, lostWhy: 'disk_full' });
  expect(noteOf(event)).toEqual([
    `${range} · 60 samples · the agent was restarted`,
    `31 samples lost (${clockSeconds(at)} – ${clockSeconds(at + 30_000)}): the agent’s disk was full`,
  ]);
});

test('a gap that nothing filled is no filled gap', () => {
  const event = gap({ samples: 0, lost: 91, lostFrom: at, lostUntil: at + 90_000, lostWhy: 'space' });
  expect(wordsOf(event)[0]).toBe('Samples lost');
  expect(noteOf(event)).toEqual([range, '91 samples lost: the agent’s buffer was full']);
  expect(filledGaps([event])).toEqual([]);
  expect(filledGaps([gap({ samples: 91 })])).toEqual([{ from: at, to: at + 90_000 }]);
});
