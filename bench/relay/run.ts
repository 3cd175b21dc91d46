/**
 * `npm run bench -- relay`: what a publication costs on its way through Redis, by what carries it.
 * CPU of publisher, Redis and all receivers; each in a process of its own. Options: --rounds=3 --seconds=3 --rate=1000 --receivers=1 --interest=1
 */

import { type ChildProcess, fork } from 'node:child_process';
import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';
import { startRedis } from '../support/processes.ts';
import { ratioOf, showSpread, spreadOf, table } from '../support/statistics.ts';
import { carriers, type Row } from './carriers.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
    rate: { type: 'string', default: '1000' },
    receivers: { type: 'string', default: '1' },
    /** In how many receivers each room has members. */
    interest: { type: 'string', default: '1' },
    bytes: { type: 'string', default: '1860' },
    carriers: { type: 'string' },
    role: { type: 'string' },
    carrier: { type: 'string' },
    port: { type: 'string' },
    me: { type: 'string' },
  },
});
const rate = Number(values.rate);
const receivers = Number(values.receivers);
const windowMs = 20;
const rooms = Array.from(
  { length: 1_000 },
  (_, index) => `host:019a0000-0000-7000-8000-${((index * 2_654_435_761) % 2 ** 32).toString(16).padStart(12, '0')}`,
);
const here = (room: string, me: number): boolean => (rooms.indexOf(room) + me) % receivers < Number(values.interest);
const interest = new Map(rooms.map((room) => [room, Array.from({ length: receivers }, (_, me) => here(room, me))]));
const all = carriers(receivers, (room, me) => interest.get(room)?.[me] ?? false);

/** User and system µs of this process so far. */
function ownCpu(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

if (values.role === 'publisher') await publisher();
else if (values.role === 'receiver') await receiver();
else await main();
// Whoever asked is gone.
process.once('disconnect', () => process.exit());

async function publisher(): Promise<void> {
  const redis = new Redis(Number(values.port));
  const carrier = all[values.carrier!]!;
  const data = JSON.stringify({ kind: 'sample', filler: 'x'.repeat(Number(values.bytes)) });
  const epoch = '019a0000-0000-7000-8000-000000000000';
  let sent = 0;
  const beganMs = performance.now();
  process.send?.('ready');
  let pending: Row[] = [];
  setInterval(
    () => {
      const due = Math.floor(((performance.now() - beganMs) * rate) / 1_000);
      for (; sent < due; sent++) pending.push({ room: rooms[sent % rooms.length]!, offset: sent + 1, epoch, data });
      const rows = pending;
      pending = [];
      if (rows.length > 0) void carrier.send(redis, rows);
    },
    values.carrier === 'each' ? 1 : windowMs,
  );
  process.on('message', () => process.send?.([sent, ownCpu()]));
}

async function receiver(): Promise<void> {
  const redis = new Redis(Number(values.port));
  const carrier = all[values.carrier!]!;
  let heard = 0;
  let bytes = 0;
  const count = (_: string, offset: number, data: string): void => {
    heard++;
    bytes += offset + data.length;
  };
  redis.on('message', (channel: string, text: string) => carrier.read(channel, text, count));
  await carrier.follow(
    redis,
    rooms.filter((room) => interest.get(room)?.[Number(values.me)]),
    Number(values.me),
  );
  process.send?.('ready');
  process.on('message', () => process.send?.([heard, ownCpu()]));
}

async function main(): Promise<void> {
  const names = values.carriers?.split(',') ?? Object.keys(all);
  const costs = new Map<string, { publisher: number[]; redis: number[]; receivers: number[]; all: number[] }>(
    names.map((name) => [name, { publisher: [], redis: [], receivers: [], all: [] }]),
  );
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const name of names) {
      const got = await measure(name);
      const cost = costs.get(name)!;
      for (const part of ['publisher', 'redis', 'receivers', 'all'] as const) cost[part].push(got[part]);
    }
  }
  const base = costs.get('rooms')?.all ?? [];
  console.log(
    `${rate} publications of ${values.bytes} B a second, ${receivers} receivers, each room wanted by ${values.interest}; CPU µs per publication`,
  );
  console.log(
    table(
      ['carried by', 'publisher', 'Redis', 'receivers', 'all', 'of a channel per room, pipelined'],
      [...costs].map(([name, cost]) => [
        all[name]!.name,
        ...[cost.publisher, cost.redis, cost.receivers, cost.all].map((list) => showSpread(spreadOf(list))),
        showSpread(ratioOf(cost.all, base)),
      ]),
    ),
  );
}

function start(role: string, name: string, port: number, me = 0): Promise<ChildProcess> {
  const options = { carrier: name, port, me, rate, receivers, interest: values.interest, bytes: values.bytes, role };
  const child = fork(
    import.meta.filename,
    Object.entries(options).map(([key, value]) => `--${key}=${value}`),
  );
  return new Promise((resolve) => child.once('message', () => resolve(child)));
}

function ask(child: ChildProcess): Promise<[count: number, cpu: number]> {
  return new Promise((resolve) => {
    child.once('message', (answer) => resolve(answer as [number, number]));
    child.send('count');
  });
}

interface Cost {
  publisher: number;
  redis: number;
  receivers: number;
  all: number;
}

async function measure(name: string): Promise<Cost> {
  const server = await startRedis();
  const children: ChildProcess[] = [];
  try {
    for (let me = 0; me < receivers; me++) children.push(await start('receiver', name, server.port, me));
    children.push(await start('publisher', name, server.port));
    return await costOf(name, server.port, children);
  } finally {
    for (const child of children) child.kill();
    await server.close();
  }
}

async function costOf(name: string, port: number, children: readonly ChildProcess[]): Promise<Cost> {
  const hearing = children.slice(0, -1);
  const publishing = children.at(-1)!;
  const asking = new Redis(port);
  const now = async () => {
    const used = (await asking.info('cpu')).matchAll(/used_cpu_(?:user|sys):([\d.]+)/g);
    const redis = [...used].reduce((sum, [, seconds]) => sum + Number(seconds) * 1e6, 0);
    const [sent, publisher] = await ask(publishing);
    const answers = await Promise.all(hearing.map(ask));
    const heard = answers.reduce((sum, [count]) => sum + count, 0);
    return { sent, heard, cpu: { publisher, redis, receivers: answers.reduce((sum, [, cpu]) => sum + cpu, 0) } };
  };
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const before = await now();
  await new Promise((resolve) => setTimeout(resolve, Number(values.seconds) * 1_000));
  const after = await now();
  asking.disconnect();
  const sent = after.sent - before.sent;
  const heard = after.heard - before.heard;
  if (Math.abs(heard / sent - Number(values.interest)) > 0.1) throw new Error(`${name}: ${sent} sent, ${heard} heard`);
  const per = (part: 'publisher' | 'redis' | 'receivers'): number => (after.cpu[part] - before.cpu[part]) / sent;
  const parts = { publisher: per('publisher'), redis: per('redis'), receivers: per('receivers') };
  return { ...parts, all: parts.publisher + parts.redis + parts.receivers };
}
