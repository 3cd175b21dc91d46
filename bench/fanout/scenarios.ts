/** The scenarios of the fan-out benchmark: what the clients do, and what is read from it. */

import { compileNative } from '../support/native.ts';
import { freePort, runLoad } from '../support/processes.ts';
import { type Peer, samplePayload } from './peer.ts';
import { roomBase } from './servers/hostroomRooms.ts';

export interface Scenario {
  name: string;
  title: string;
  clients: number;
  rooms: number;
  messageBytes: number;
  /** Messages per second; 0: as the window allows, or none at all. */
  rate: number;
  /** Messages published and not yet with all clients; 0: as the rate says. */
  window: number;
  warmupSeconds: number;
  seconds: number;
  /** Clients among them that join and then never read. */
  stalled: number;
  /** Each publishes into a room of its own, in turn; `rate` is that of all together. */
  publishers: number;
  /** Clients beside the others that are in all rooms. */
  watchers: number;
  /** Two servers that work together: what is published at one is read at the other. */
  pair: boolean;
  /** One client in this many, a power of two, measures latency. */
  sampleEvery: number;
}

const oneRoom = {
  clients: 1_000,
  rooms: 1,
  messageBytes: 300,
  rate: 0,
  window: 0,
  warmupSeconds: 5,
  seconds: 6,
  stalled: 0,
  publishers: 1,
  watchers: 0,
  pair: false,
  sampleEvery: 1,
};
/** Enough bytes for a stalled reader to overflow every buffer on the way. */
const large = { ...oneRoom, messageBytes: 2_000, rate: 400, seconds: 10 };

export const scenarios: readonly Scenario[] = [
  { ...oneRoom, name: 'S1r', title: '1 room, 1 000 subscribers, 300 B, 30 messages/s', rate: 30 },
  { ...oneRoom, name: 'S1w', title: 'the same, 4 publishes in flight', window: 4, seconds: 4, sampleEvery: 16 },
  { ...oneRoom, name: 'S1w40', title: 'the same, 40 publishes in flight', window: 40, seconds: 4, sampleEvery: 16 },
  {
    ...oneRoom,
    name: 'S3',
    title: '10 000 idle connections in 1 000 rooms',
    clients: 10_000,
    rooms: 1_000,
    warmupSeconds: 3,
    seconds: 0.1,
  },
  {
    ...oneRoom,
    name: 'S2',
    title: '1 000 agents at 1 Hz, 2 000 readers of one room each, 5 readers of all',
    clients: 2_000,
    rooms: 1_000,
    publishers: 1_000,
    watchers: 5,
    rate: 1_000,
    warmupSeconds: 15,
  },
  {
    ...oneRoom,
    name: 'S4',
    title: 'two replicas, 1 000 publishes/s, each read at the other replica',
    rooms: 1_000,
    publishers: 1_000,
    pair: true,
    rate: 1_000,
    warmupSeconds: 15,
  },
  { ...large, name: 'G7a', title: '100 readers, 2 kB, 400 messages/s', clients: 100 },
  { ...large, name: 'G7b', title: 'the same beside one stalled reader', clients: 101, stalled: 1 },
];

/** What one run measured. */
export interface Measured {
  /** CPU of all server processes, user and system. */
  cpuUsPerDelivery: number;
  /** The same as a share of one core. */
  coreShare: number;
  deliveriesPerSecond: number;
  /** How busy the load generator's core was, 0…1: near 1 the figures are its own. */
  loadBusy: number;
  p50Us: number;
  p99Us: number;
  maxUs: number;
  /** Of all server processes together. */
  kibPerConnection: number;
  rssPeakKiB: number;
  errors: number;
}

interface Report {
  joined: number;
  seconds: number;
  deliveries: number;
  serverCpuUs: number;
  loadCpuUs: number;
  errors: number;
  p50Us: number;
  p99Us: number;
  maxUs: number;
  rssBeforeKiB: number;
  rssAfterKiB: number;
  rssPeakKiB: number;
}

/** Starts the peer afresh, runs the scenario against it, stops it. Throws when the run was not clean. */
export async function measure(peer: Peer, scenario: Scenario, seconds = scenario.seconds): Promise<Measured> {
  const load = compileNative('load');
  const message = samplePayload(scenario.messageBytes);
  const { args, watch = () => [], watchParts = 1 } = peer.wiring(message);
  const server = await (scenario.pair ? peer.startPair?.(await freePort()) : peer.start(await freePort(), message.length));
  if (!server) throw new Error('does not run as a pair');
  try {
    const settings = {
      port: server.port,
      ...(server.otherPort === undefined ? {} : { 'other-port': server.otherPort }),
      clients: scenario.clients + scenario.watchers * watchParts,
      publishers: scenario.publishers,
      watchers: scenario.watchers * watchParts,
      'watch-parts': watchParts,
      rooms: scenario.rooms,
      'room-base': roomBase,
      rate: scenario.rate,
      window: scenario.window,
      warmup: scenario.warmupSeconds,
      seconds,
      stalled: scenario.stalled,
      'sample-mask': scenario.sampleEvery - 1,
      'min-length': Math.floor(message.length * 0.85),
    };
    const common = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const watching = scenario.watchers > 0 ? watch(scenario.rooms / watchParts) : [];
    const pids = server.pids().flatMap((pid) => ['--pid', String(pid)]);
    const report = JSON.parse(await runLoad([load, ...common, ...pids, ...args, ...watching])) as Report;
    const idle = scenario.rate === 0 && scenario.window === 0;
    if (!idle && report.deliveries === 0) throw new Error('nothing was delivered');
    if (report.errors > 0) throw new Error(`${report.errors} connections failed`);
    return {
      cpuUsPerDelivery: report.serverCpuUs / report.deliveries,
      coreShare: report.serverCpuUs / 1e6 / report.seconds,
      deliveriesPerSecond: report.deliveries / report.seconds,
      loadBusy: report.loadCpuUs / 1e6 / report.seconds,
      p50Us: report.p50Us,
      p99Us: report.p99Us,
      maxUs: report.maxUs,
      kibPerConnection: (report.rssAfterKiB - report.rssBeforeKiB) / report.joined,
      rssPeakKiB: report.rssPeakKiB,
      errors: report.errors,
    };
  } finally {
    await server.close();
  }
}
