import { expect, test } from 'vitest';
import { FleetBoard } from '../../src/actions/fleet.ts';
import { unknownSummary } from '../../src/actions/fleetRecord.ts';
import type { Fleet, Sample } from '../../src/protocol/kinds.ts';

function start(repeatMs?: number) {
  const told: { room: string; fleet: Fleet }[] = [];
  const hub = { deliver: (room: string, record: { data: string }) => void told.push({ room, fleet: JSON.parse(record.data) as Fleet }) };
  return { told, board: new FleetBoard({ hub, clock: { now: () => 5 }, everyMs: 1_000, repeatMs }) };
}

const sample = (at: number, metrics: Record<string, number>): Sample => ({ kind: 'sample', at, seq: 1, boot: 'b', metrics });

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
  expect(told.at(-1)?.fleet).toMatchObject({ at: 5, hosts: { b: { status: 'offline', cpu: 0.1 } } });
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

/** Boards of replicas that hear each other, and what each told its viewers. */
function together(count: number) {
  const here = new Map<string, number>();
  const boards: FleetBoard[] = [];
  const told: Fleet['hosts'][] = Array.from({ length: count }, () => ({}));
  let dropped = 0;
  for (let index = 0; index < count; index++) {
    boards.push(
      new FleetBoard({
        hub: { deliver: (_room, { data }) => void Object.assign(told[index]!, (JSON.parse(data) as Fleet).hosts) },
        clock: { now: () => 5 },
        others: {
          isHere: (host) => here.get(host) === index,
          tell: (record) => boards.forEach((board, other) => other !== index && board.hear(record)),
          dropped: () => void dropped++,
        },
      }),
    );
  }
  const tell = (): void => [...boards, ...boards].forEach((board) => board.tell());
  return { boards, here, told, tell, dropped: () => dropped };
}

const [host, group, otherGroup] = [1, 2, 3].map((n) => `00000000-0000-7000-8000-00000000000${n}`) as [string, string, string];

test('what one replica knows is told by all, with the trail of CPU', () => {
  const { boards, here, told, tell } = together(3);
  here.set(host, 1);
  boards[1]!.observe(host, group, sample(1_000, { 'cpu.busy': 0.5 }));
  tell();
  boards[1]!.observe(host, group, sample(2_000, { 'cpu.busy': 0.6 }));
  tell();
  for (const hosts of told) expect(hosts[host]).toMatchObject({ status: 'online', at: 2_000, cpu: 0.6 });
  for (const board of boards) expect(board.recentCpu(host)?.values.slice(-2)).toEqual([0.5, 0.6]);
});

test('an agent that moves keeps its figures, and what is late about it changes nothing', () => {
  const { boards, here, told, tell } = together(3);
  here.set(host, 0);
  boards[0]!.observe(host, group, sample(1_000, { 'cpu.busy': 0.1, 'fs.%2F.total': 2, 'fs.%2F.used': 1 }));
  tell();
  here.set(host, 1);
  boards[1]!.status(host, group, true);
  boards[1]!.observe(host, group, sample(2_000, { 'cpu.busy': 0.2 }));
  tell();
  const late = JSON.stringify({ hosts: { [host]: { group, summary: { ...boards[2]!.summary(host)!, at: 1_500, cpu: 0.9 } } } });
  boards[2]!.hear({ data: late });
  tell();
  for (const hosts of told) expect(hosts[host]).toMatchObject({ status: 'online', at: 2_000, cpu: 0.2, disk: 0.5 });
  // Whoever decided that it left may not have its last sample.
  here.delete(host);
  boards[2]!.hear({ data: late });
  boards[2]!.hear({ data: late.replace('"online"', '"offline"') });
  expect(boards[2]!.summary(host)).toMatchObject({ status: 'offline', at: 2_000, cpu: 0.2 });
});

test('what an agent sends again after it moved does not turn its figures back', () => {
  const { boards, here, told, tell } = together(2);
  here.set(host, 0);
  boards[0]!.observe(host, group, sample(1_000, { 'cpu.busy': 0.1 }));
  boards[0]!.observe(host, group, sample(3_000, { 'cpu.busy': 0.3 }));
  tell();
  here.set(host, 1);
  boards[1]!.observe(host, group, sample(2_000, { 'cpu.busy': 0.2 }));
  tell();
  for (const hosts of told) expect(hosts[host]).toMatchObject({ status: 'online', at: 3_000, cpu: 0.3 });
  expect(boards[1]!.recentCpu(host)?.values.slice(-2)).toEqual([0.2, 0.3]);
  boards[1]!.observe(host, group, sample(4_000, { 'cpu.busy': 0.4 }));
  tell();
  for (const hosts of told) expect(hosts[host]).toMatchObject({ at: 4_000, cpu: 0.4 });
});

test('a replica that starts is told of everything at once', () => {
  const { boards, here, told, tell } = together(2);
  here.set(host, 0);
  boards[0]!.observe(host, group, sample(1_000, { 'cpu.busy': 0.1 }));
  tell();
  boards[1]!.forget(host);
  delete told[1]![host];
  tell();
  expect(boards[1]!.summary(host)).toBeUndefined();
  boards[1]!.tellAnew();
  tell();
  expect(told[1]![host]).toMatchObject({ cpu: 0.1 });
});

test('a host in another group is told there and nowhere else', () => {
  const rooms: string[] = [];
  const hub = { deliver: (room: string) => void rooms.push(room) };
  const board = new FleetBoard({ hub, clock: { now: () => 5 } });
  board.observe(host, group, sample(1_000, {}));
  board.tell();
  board.observe(host, otherGroup, sample(2_000, {}));
  board.tell();
  expect(rooms).toEqual([`fleet:${group}`, `fleet:${otherGroup}`]);
});

test('what no replica sends is passed over', () => {
  const { boards, dropped } = together(1);
  const summary = { ...unknownSummary, status: 'online' as const };
  const bad = [
    '',
    'x',
    '[]',
    '{"hosts":[]}',
    '{"asks":1}',
    { hosts: { x: { group, summary } } },
    { hosts: { [host]: { group: 'x', summary } } },
  ];
  const worse = [
    { hosts: { [host]: { group, summary: { ...summary, cpu: 'much' } } } },
    { hosts: { [host]: { group, summary: { status: 'online' } } } },
  ];
  for (const data of [...bad, ...worse]) boards[0]!.hear({ data: typeof data === 'string' ? data : JSON.stringify(data) });
  expect(dropped()).toBe(bad.length + worse.length);
  expect(boards[0]!.summary(host)).toBeUndefined();
});

test('of a host elsewhere PostgreSQL is believed where nobody tells of it', () => {
  const { boards, here } = together(2);
  here.set(host, 1);
  boards[1]!.observe(host, group, sample(1_000, { 'cpu.busy': 0.1 }));
  boards[1]!.tell();
  const [board] = boards as [FleetBoard];
  expect([...board.elsewhere()]).toMatchObject([{ host, at: 1_000 }]);
  expect([...boards[1]!.elsewhere()]).toEqual([]);
  board.sampled(host, sample(3_000, { 'cpu.busy': 0.3 }));
  board.sampled(host, sample(2_000, { 'cpu.busy': 0.2 }));
  expect(board.summary(host)).toMatchObject({ status: 'online', at: 3_000, cpu: 0.3 });
  board.stored(host, { id: host, group, online: false, lastSampleAt: 3_500 });
  expect(board.summary(host)).toMatchObject({ status: 'offline', at: 3_500, cpu: 0.3 });
  board.stored(host, undefined);
  expect(board.summary(host)).toBeUndefined();
});
