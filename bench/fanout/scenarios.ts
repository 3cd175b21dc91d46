/** The scenarios of the fan-out benchmark: what the clients do, and what is read from it. */

import { compileNative } from '../support/native.ts';
import { freePort, runLoad } from '../support/processes.ts';
import { type Peer, samplePayload } from './peer.ts';

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
  /** One client in this many, a power of two, measures latency. */
  sampleEvery: number;
}

const oneRoom = {
  clients: 1_000,
  rooms: 1,
  messageBytes: 300,
  rate: 0,
  window: 0,
  warmupSeconds: 2,
  seconds: 6,
  stalled: 0,
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
  { ...large, name: 'G7a', title: '100 readers, 2 kB, 400 messages/s', clients: 100 },
  { ...large, name: 'G7b', title: 'the same beside one stalled reader', clients: 101, stalled: 1 },
];

/** What one run measured. */
export interface Measured {
  /** CPU of all server processes, user and system. */
  cpuUsPerDelivery: number;
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
  const server = await peer.start(await freePort(), message.length);
  try {
    const settings = {
      port: server.port,
      clients: scenario.clients,
      rooms: scenario.rooms,
      rate: scenario.rate,
      window: scenario.window,
      warmup: scenario.warmupSeconds,
      seconds,
      stalled: scenario.stalled,
      'sample-mask': scenario.sampleEvery - 1,
      'min-length': Math.floor(message.length * 0.85),
    };
    const common = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const pids = server.pids().flatMap((pid) => ['--pid', String(pid)]);
    const report = JSON.parse(await runLoad([load, ...common, ...pids, ...peer.wiring(message).args])) as Report;
    const idle = scenario.rate === 0 && scenario.window === 0;
    if (!idle && report.deliveries === 0) throw new Error('nothing was delivered');
    if (report.errors > 0) throw new Error(`${report.errors} connections failed`);
    return {
      cpuUsPerDelivery: report.serverCpuUs / report.deliveries,
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
