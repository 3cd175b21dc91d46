/** The checker of the fault tests finds each sort of fault, and nothing where nothing is wrong. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { broken, judge, type Evidence, type Seen, type Sent, type Stored } from '../support/faults/checker.ts';
import { seedFor } from '../support/seed.ts';

const sent = (seq: number, over: Partial<Sent> = {}): Sent => ({
  host: 'h',
  boot: 'b',
  seq,
  at: seq * 1000,
  acknowledged: true,
  kept: false,
  ...over,
});
const stored = (seq: number, over: Partial<Stored> = {}): Stored => ({ host: 'h', boot: 'b', seq, at: seq * 1000, ...over });
const seen = (seq: number, boot = 'b'): Seen => ({ boot, seq });
const mark: Seen = { mark: true };
const evidence = (over: Partial<Evidence>): Evidence => ({ sent: [sent(1), sent(2)], stored: [stored(1), stored(2)], views: [], ...over });

test('finds nothing where all is well', () => {
  const verdict = judge(evidence({ counted: 2, views: [[seen(1), seen(2)], [seen(2)], []] }));
  expect(broken(verdict)).toEqual({});
  expect(verdict).toMatchObject({ sent: 2, acknowledged: 2, stored: 2, seen: 3, lost: 0 });
});

test.each<[string, Partial<Evidence>, object]>([
  ['an acknowledged one is missing', { stored: [stored(1)] }, { acknowledgedLost: 1 }],
  ['one is there twice', { stored: [stored(1), stored(2), stored(2)] }, { duplicates: 1 }],
  ['the same one has two times', { stored: [stored(1), stored(2), stored(2, { at: 5 })] }, { duplicates: 1 }],
  ['SQL counts more rows', { counted: 3 }, { miscounted: 1 }],
  ['nobody sent it', { stored: [stored(1), stored(2), stored(3)] }, { strangers: 1 }],
  ['another host sent it', { stored: [stored(1), stored(2), stored(2, { host: 'x' })] }, { strangers: 1 }],
  ['the order is another', { sent: [sent(1), sent(2, { at: 500 })], stored: [stored(1), stored(2, { at: 500 })] }, { disordered: 1 }],
  ['the time was changed', { stored: [stored(1), stored(2, { at: 2001 })] }, { restamped: 1 }],
  ['a viewer has a hole', { sent: [sent(1), sent(3)], views: [[seen(1), seen(3)]] }, { unmarkedGaps: 1 }],
  ['a viewer goes to another boot unmarked', { views: [[seen(1), seen(1, 'c')]] }, { unmarkedGaps: 1 }],
  ['a viewer sees one twice', { views: [[seen(1), seen(1)]] }, { shownAgain: 1 }],
  ['a viewer is shown what nobody sent', { views: [[seen(1), seen(2), seen(3)]] }, { invented: 1 }],
  ['a viewer is shown another boot', { views: [[seen(2), mark, seen(1, 'c')]] }, { invented: 1 }],
  [
    'a viewer stays behind',
    {
      settled: true,
      views: [
        [seen(1), seen(2)],
        [mark, seen(1)],
      ],
    },
    { behind: 1 },
  ],
  [
    'one viewer of several has a hole',
    {
      sent: [1, 2, 3].map((seq) => sent(seq)),
      views: [
        [seen(1), seen(2), seen(3)],
        [seen(1), seen(3)],
      ],
    },
    { unmarkedGaps: 1 },
  ],
  ['a viewer sees an older one, even after a mark', { views: [[seen(1), seen(2), mark, seen(1)]] }, { shownAgain: 1 }],
])('tells that %s', (_, over, fault) => {
  expect(broken(judge(evidence(over)))).toMatchObject(fault);
});

test('allows what the promise allows', () => {
  const late = [sent(1), sent(2, { acknowledged: false, kept: true }), sent(3, { acknowledged: false })];
  expect(broken(judge(evidence({ sent: late, stored: [stored(1)] })))).toEqual({});
  expect(judge(evidence({ sent: late, stored: [stored(1)] })).lost).toBe(1);
  const boots = [1, 5, 6].map((seq) => sent(seq));
  const views = [
    [seen(1), mark, seen(5), seen(6), mark, seen(1, 'c')],
    [seen(1), mark],
    [mark, seen(6)],
  ];
  const rebooted = [...boots, sent(1, { boot: 'c', at: 9000 })];
  const rows = rebooted.map(({ host, boot, seq, at }) => ({ host, boot, seq, at: at! }));
  expect(broken(judge({ sent: rebooted, stored: rows, views, settled: true }))).toEqual({});
  // Not all has arrived yet.
  expect(broken(judge(evidence({ views: [[seen(1)]] })))).toEqual({});
});

test('whatever is taken away or doubled is found', () => {
  const seed = seedFor('checker');
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 50 }), fc.nat(), fc.boolean(), (count, which, takes) => {
      const all = Array.from({ length: count }, (_, index) => index + 1);
      const index = which % count;
      const rows = all.map((seq) => stored(seq));
      if (takes) rows.splice(index, 1);
      else rows.push(rows[index]!);
      const verdict = judge({ sent: all.map((seq) => sent(seq)), stored: rows, views: [] });
      expect(broken(verdict)).toMatchObject(takes ? { acknowledgedLost: 1 } : { duplicates: 1 });
    }),
    { seed },
  );
});
