/** The checker of conversations finds each sort of fault, and nothing where nothing is wrong. */

import { expect, test } from 'vitest';
import { judgeTalk, type Posted, type Read, type StoredMessage, type TalkEvidence } from '../support/faults/talkChecker.ts';

const posted = (key: string, acknowledged = true): Posted => ({ key, acknowledged });
const at = (offset: number, key: string): StoredMessage => ({ offset, key });
const mark: Read = { mark: true };
const none = { lost: 0, doubled: 0, strangers: 0, holes: 0, displaced: 0, disordered: 0, unmarkedGaps: 0, behind: 0 };
const all = [at(1, 'a'), at(2, 'b'), at(3, 'c')];
const evidence = (over: Partial<TalkEvidence>): TalkEvidence => ({
  posted: ['a', 'b', 'c'].map((key) => posted(key)),
  stored: all,
  readers: [],
  ...over,
});

test('finds nothing where all is well', () => {
  const readers = [all, [at(1, 'a'), mark, at(3, 'c')], [at(1, 'a'), mark], [mark, ...all]];
  expect(judgeTalk(evidence({ readers }))).toEqual({ posted: 3, stored: 3, read: 9, marks: 3, faults: none });
  expect(judgeTalk(evidence({ posted: [...evidence({}).posted, posted('d', false)] })).faults).toEqual(none);
});

test.each<[string, Partial<TalkEvidence>, object]>([
  ['one is lost', { posted: [...evidence({}).posted, posted('d')] }, { lost: 1 }],
  ['one is stored twice', { stored: [...all, at(4, 'a')] }, { doubled: 1 }],
  ['nobody posted it', { stored: [...all, at(4, 'x')] }, { strangers: 1 }],
  ['an offset has nobody', { stored: [at(1, 'a'), at(2, 'b'), at(4, 'c')] }, { holes: 1 }],
  ['a reader has another order', { readers: [[at(1, 'b'), at(2, 'a'), at(3, 'c')]] }, { displaced: 2 }],
  ['a reader sees one twice', { readers: [[...all, at(3, 'c')]] }, { disordered: 1 }],
  ['a reader sees an older one, even after a mark', { readers: [[...all, mark, at(2, 'b')]] }, { disordered: 1 }],
  ['a reader has a hole', { readers: [[at(1, 'a'), at(3, 'c')]] }, { unmarkedGaps: 1 }],
  ['a reader missed the beginning', { readers: [[at(2, 'b'), at(3, 'c')]] }, { unmarkedGaps: 1 }],
  ['a reader stays behind', { readers: [all.slice(0, 2)] }, { behind: 1 }],
  ['a reader saw nothing', { readers: [[]] }, { behind: 1 }],
])('tells that %s', (_, over, faults) => expect(judgeTalk(evidence(over)).faults).toEqual({ ...none, ...faults }));
