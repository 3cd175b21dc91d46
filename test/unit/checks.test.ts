import { expect, test } from 'vitest';
import { checkAgentPublication, checkAnnouncement, checkBackfill, checkInventory, checkMessageDraft } from '../../src/protocol/checks.ts';

const boot = '01890000-0000-7000-8000-000000000001';
const sample = (over: object = {}) => ({ kind: 'sample', at: 1_700_000_000_000, seq: 1, boot, metrics: { 'cpu.busy': 0.5 }, ...over });

test('a sample as the contract has it passes as it is, unknown fields and names included', () => {
  const data = sample({ extra: [1], metrics: { 'cpu.busy': 0.5, 'fs.%2Fsrv%2Fü.used': 3, 'own.thing': -1 } });
  expect(checkAgentPublication(data).ok).toBe(data);
});

test.each([
  ['not an object', null, 'data'],
  ['a list', [], 'data'],
  ['an unknown kind', sample({ kind: 'message' }), 'kind'],
  ['a time as text', sample({ at: '1700000000000' }), 'at'],
  ['a fractional time', sample({ at: 1.5 }), 'at'],
  ['a time beyond any calendar', sample({ at: 1e300 }), 'at'],
  ['seq 0', sample({ seq: 0 }), 'seq'],
  ['a huge seq', sample({ seq: 2 ** 53 }), 'seq'],
  ['no boot', sample({ boot: undefined }), 'boot'],
  ['an upper-case boot', sample({ boot: boot.toUpperCase().replace('7000', 'ABCD') }), 'boot'],
  ['no metrics', sample({ metrics: undefined }), 'metrics'],
  ['metrics as a list', sample({ metrics: [1] }), 'metrics'],
  ['a string', sample({ metrics: { 'cpu.busy': '0.5' } }), 'cpu.busy'],
  ['null', sample({ metrics: { 'cpu.busy': null } }), 'cpu.busy'],
  ['NaN', sample({ metrics: { 'cpu.busy': NaN } }), 'cpu.busy'],
  ['1e400 of JSON', JSON.parse('{"kind":"sample","at":1,"seq":1,"boot":"' + boot + '","metrics":{"x":1e400}}'), 'x is not'],
  ['10,000 keys', sample({ metrics: Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`m${i}`, i])) }), '2000'],
  ['__proto__', JSON.parse('{"kind":"sample","at":1,"seq":1,"boot":"' + boot + '","metrics":{"__proto__":1}}'), '__proto__'],
  ['a name with a space', sample({ metrics: { 'a b': 1 } }), 'a b'],
  ['a name too long', sample({ metrics: { ['a'.repeat(201)]: 1 } }), '200'],
  ['an empty name', sample({ metrics: { '': 1 } }), 'name'],
])('a sample with %s is refused with the field named', (_, data, named) => {
  expect(checkAgentPublication(data).fault).toContain(named);
});

test('processes are checked row by row', () => {
  const row = { pid: 1, name: 'init', user: 'root', cpu: 0, memory: 1, io: 0 };
  const data = { kind: 'processes', at: 1, seq: 2, boot, top: [row] };
  expect(checkAgentPublication(data).ok).toBe(data);
  expect(checkAgentPublication({ ...data, top: [row, { ...row, cpu: 'x' }] }).fault).toContain('top[1]');
  expect(checkAgentPublication({ ...data, top: Array(201).fill(row) }).fault).toContain('200');
});

test('announcements, backfill envelopes, inventories', () => {
  expect(checkAnnouncement({ boot, connection: 3 }).ok).toEqual({ boot, connection: 3 });
  expect(checkAnnouncement({ boot, connection: '3' }).fault).toContain('connection');
  expect(checkAnnouncement(undefined).fault).toContain('boot');
  expect(checkBackfill({ publications: [1, 2] }).ok).toEqual({ publications: [1, 2], why: [], dropped: [] });
  const loss = { from: 1, to: 2, samples: 3, why: 'space' };
  expect(checkBackfill({ publications: [], why: ['hub', 'x', {}], dropped: [loss] }).ok).toMatchObject({ why: ['hub'], dropped: [loss] });
  for (const wrong of [{ from: 3 }, { to: null }, { samples: 0 }, { samples: 1e10 }, { why: 'boredom' }]) {
    expect(checkBackfill({ publications: [], dropped: [{ ...loss, ...wrong }] }).fault).toContain('dropped');
  }
  expect(checkBackfill({ publications: [], dropped: Array(21).fill(loss) }).fault).toContain('20');
  expect(checkBackfill({ publications: Array(301).fill({}) }).fault).toContain('300');
  expect(checkBackfill([]).fault).toContain('publications');
  expect(checkInventory({ os: 'Debian', bootedAt: 5, cores: 'x', evil: 1 }).ok).toMatchObject({
    os: 'Debian',
    kernel: '',
    cores: 0,
    disks: [],
  });
  expect(checkInventory({ os: 'Debian' }).fault).toContain('bootedAt');
});

test.each([
  [{ text: '' }, 'text'],
  [{ text: '  \n' }, 'text'],
  [{ text: 5 }, 'text'],
  [{ text: 'x'.repeat(16_001) }, 'text'],
  [{ text: 'a\0b' }, 'NUL'],
  [{ text: 'a\ud800b' }, 'surrogate'],
  [{ text: 'a', kind: 'sample' }, 'kind'],
  [{ text: 'a', at: 'now' }, 'at'],
  [{ text: 'a', until: 5 }, 'until'],
  [{ text: 'a', at: 6, until: 5 }, 'until'],
  [{ text: 'a', thread: 'x' }, 'thread'],
  [{ text: 'a', key: '' }, 'key'],
  [{ text: 'a', key: 'k'.repeat(65) }, 'key'],
  ['a', 'data'],
])('a message draft %j is refused', (draft, named) => {
  expect(checkMessageDraft(draft).fault).toContain(named);
});

test('a good draft keeps its known fields only', () => {
  expect(checkMessageDraft({ kind: 'message', text: 'hi', at: 5, until: 6, key: 'k', author: 'someone else' }).ok).toEqual({
    text: 'hi',
    at: 5,
    until: 6,
    key: 'k',
  });
});
