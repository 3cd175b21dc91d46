/** The agents: many connections in one process, at a steady rate each or as fast as they are answered. */

import { randomUUID } from 'node:crypto';
import { WebSocket } from 'ws';
import type { Ready } from './hub.ts';
import { someMetrics } from './samples.ts';

export interface Order {
  hub: Ready;
  /** Samples per second of each agent; 0: always `inFlight` unanswered. */
  ratePerSecond: number;
  inFlight: number;
  seconds: number;
}

export interface LoadResult {
  sent: number;
  acknowledged: number;
  refused: number;
  /** Seconds from sending to the reply. */
  p50: number;
  p99: number;
}

interface Agent {
  ws: WebSocket;
  room: string;
  boot: string;
  seq: number;
  at: number;
  sentMs: Map<number, number>;
}

const metrics = someMetrics(200);
const seconds: number[] = [];
let sent = 0;
let acknowledged = 0;
let refused = 0;
let running = true;

function command(agent: Agent): string {
  const seq = ++agent.seq;
  agent.at = Math.max(agent.at + 1, Date.now());
  agent.sentMs.set(seq, performance.now());
  sent++;
  const data = `{"kind":"sample","at":${agent.at},"seq":${seq},"boot":"${agent.boot}","metrics":${metrics[seq % metrics.length]}}`;
  return `{"id":${seq + 1},"publish":{"channel":"${agent.room}","data":${data}}}`;
}

function read(agent: Agent, text: string, order: Order): void {
  let answered = 0;
  for (const line of text.split('\n')) {
    if (line === '{}') {
      agent.ws.send('{}');
      continue;
    }
    const reply = JSON.parse(line) as { id: number; error?: unknown };
    const sentMs = agent.sentMs.get(reply.id - 1);
    if (sentMs === undefined) continue;
    agent.sentMs.delete(reply.id - 1);
    answered++;
    if (reply.error) refused++;
    else acknowledged++;
    seconds.push((performance.now() - sentMs) / 1000);
  }
  if (running && order.ratePerSecond === 0 && answered > 0)
    agent.ws.send(Array.from({ length: answered }, () => command(agent)).join('\n'));
}

async function connect(order: Order, { id, token }: Ready['hosts'][number]): Promise<Agent> {
  // Any UUID in lower case will do as a boot.
  const agent: Agent = {
    ws: new WebSocket(order.hub.url, { perMessageDeflate: false }),
    room: `host:${id}`,
    boot: randomUUID(),
    seq: 0,
    at: 0,
    sentMs: new Map(),
  };
  await new Promise<void>((resolve, reject) => {
    agent.ws.once('error', reject);
    agent.ws.once('open', () => agent.ws.send(JSON.stringify({ id: 1, connect: { token, data: { boot: agent.boot, connection: 1 } } })));
    agent.ws.once('message', (data: Buffer) => {
      if (data.toString().includes('"error"')) reject(new Error(data.toString()));
      agent.ws.on('message', (more: Buffer) => read(agent, more.toString(), order));
      resolve();
    });
  });
  return agent;
}

process.once('message', (order: Order) => {
  void (async () => {
    const agents: Agent[] = [];
    // Some at once: the hub announces in one statement those that come at the same moment.
    for (let from = 0; from < order.hub.hosts.length; from += 50) {
      agents.push(...(await Promise.all(order.hub.hosts.slice(from, from + 50).map((host) => connect(order, host)))));
    }
    process.send?.('connected');
    const timers = agents.map((agent, i) => {
      if (order.ratePerSecond === 0) {
        agent.ws.send(Array.from({ length: order.inFlight }, () => command(agent)).join('\n'));
        return undefined;
      }
      const everyMs = 1000 / order.ratePerSecond;
      // Spread evenly over the period, as agents started at different moments are.
      return setTimeout(() => setInterval(() => running && agent.ws.send(command(agent)), everyMs).unref(), (i / agents.length) * everyMs);
    });
    await new Promise((resolve) => setTimeout(resolve, order.seconds * 1000));
    running = false;
    for (const timer of timers) clearTimeout(timer);
    const deadline = performance.now() + 5_000;
    while (agents.some((agent) => agent.sentMs.size > 0) && performance.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 20));
    const sorted = seconds.toSorted((a, b) => a - b);
    const at = (part: number): number => sorted[Math.floor(sorted.length * part)] ?? NaN;
    process.send?.({ sent, acknowledged, refused, p50: at(0.5), p99: at(0.99) } satisfies LoadResult);
    for (const agent of agents) agent.ws.terminate();
    process.disconnect?.();
  })();
});
