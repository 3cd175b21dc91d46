import { expect, test } from 'vitest';
import { FleetBoard } from '../../src/actions/fleet.ts';
import type { Fleet, Sample } from '../../src/protocol/kinds.ts';

function start(repeatMs?: number) {
  const told: { room: string; fleet: Fleet }[] = [];
  const hub = {
    deliver: (room: string, record: { data: string }) => void told.push({ room, fleet: JSON.parse(record.data) as Fleet }),
  };
  return {
    told,
    board: new FleetBoard({ hub, clock: { now: () => 5 }, everyMs: 1_000, repeatMs }),
  };
}

const sample = (at: number, metrics: Record<string, number>): Sample => ({
  kind: 'sample',
  at,
  seq: 1,
  boot: 'b',
  metrics,
});

test('only what changed is told, one publication per group', () => {
  const { board, told } = start();
  board.observe('a', 'one', sample(1_000, { 'cpu.busy': 0.5 }));
  board.observe('b', 'one', sample(1_000, { 'cpu.busy': 0.1 }));
  board.observe('c', 'two', sample(1_000, {}));
  board.tell();
  expect(told.map(({ room, fleet }) => [room, Object.keys(fleet.hosts)])).toEqual([
    ['fleet:one', ['a', 'b']],
    ['fleet:two', ['c']],
  ]);
  board.tell();
  expect(told).toHaveLength(2);
  board.status('b', 'one', false);
  board.tell();
  expect(told.at(-1)?.fleet).toMatchObject({
    at: 5,
    hosts: { b: { status: 'offline', cpu: 0.1 } },
  });
});

test('the full state is made once between two tellings, unless other hosts are in the group', () => {
  const { board } = start();
  let made = 0;
  const hosts = [{ id: 'a', online: true, lastSampleAt: 1 }];
  const enter = (of = hosts): number =>
    JSON.parse(board.state('one', of, () => ({ kind: 'fleet', at: ++made, hosts: {} })).text).at as number;
  board.observe('a', 'one', sample(1_000, {}));
  expect([enter(), enter()]).toEqual([1, 1]);
  board.tell();
  expect([enter(), enter()]).toEqual([2, 2]);
  expect([enter([...hosts]), made]).toEqual([3, 3]);
});

test('an unchanged host is told again after its time', () => {
  const { board, told } = start(1_000);
  board.observe('a', 'one', sample(1_000, {}));
  board.tell();
  board.tell();
  expect(told).toHaveLength(2);
});

test('figures: sums without lo, the fullest file system, kept while it is not read', () => {
  const { board } = start();
  board.observe(
    'a',
    'one',
    sample(1_000, {
      'memory.used': 1,
      'memory.total': 4,
      'net.eth0.receive': 10,
      'net.wg0.receive': 5,
      'net.lo.receive': 99,
      'net.eth0.receive_errors': 7,
      'net.eth0.transmit': 3,
      'load.1': 1.5,
      uptime: 60,
      'temperature.cpu': 40,
      'temperature.nvme0': 52,
      'fs.%2F.total': 100,
      'fs.%2F.used': 50,
      'fs.%2Fsrv.total': 10,
      'fs.%2Fsrv.used': 9,
    }),
  );
  const slow = { disk: 0.9, temperature: 52 };
  const first = {
    status: 'online',
    at: 1_000,
    cpu: null,
    memory: 0.25,
    receive: 15,
    transmit: 3,
    load: 1.5,
    uptime: 60,
    alerts: 0,
    ...slow,
  };
  expect(board.summary('a')).toEqual(first);
  board.observe('a', 'one', sample(2_000, { 'cpu.busy': 1 }));
  expect(board.summary('a')).toMatchObject({ ...slow, cpu: 1, memory: null, load: null });
});

test('recent CPU has a value per second, null where none came', () => {
  const { board } = start();
  expect(board.recentCpu('a')).toBeNull();
  board.observe('a', 'one', sample(100_200, { 'cpu.busy': 0.1 }));
  board.observe('a', 'one', sample(102_200, { 'cpu.busy': 0.3 }));
  expect(board.recentCpu('a')?.values.slice(-4)).toEqual([null, 0.1, null, 0.3]);
  expect(board.recentCpu('a')?.values).toHaveLength(60);
  board.observe('a', 'one', sample(170_200, { 'cpu.busy': 0.5 }));
  expect(board.recentCpu('a')?.values.filter((value) => value !== null)).toEqual([0.5]);
});
