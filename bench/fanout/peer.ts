/** What the fan-out benchmark has to know of each peer: how to start it, and what its protocol looks like to the load generator. */

import type { Running } from '../support/processes.ts';

/** What the clients of one run send and expect. */
export interface Wiring {
  /** Arguments of bench/native/load.c beyond those of the scenario. */
  args: string[];
  /** Arguments for clients that are in so many rooms each; absent: the peer does without such clients. */
  watch?: (rooms: number) => string[];
  /** Connections that one such client needs, where one cannot have all rooms. */
  watchParts?: number;
}

export interface Peer {
  name: string;
  /** Why it cannot run here, with the way to get it; undefined when it can. */
  missing(): string | undefined;
  /** Starts the server on the port, on core 0. `messageBytes` is the size of one published message. */
  start(port: number, messageBytes: number): Promise<Running>;
  /** Starts two servers that work together, on core 0; absent: it is not compared there. */
  startPair?(port: number): Promise<Running>;
  /**
   * How clients connect, join the room of their number, and publish `message` into that of the publisher's. Where the peer can, it
   * answers every publish, so that an agent knows of each sample that it has arrived.
   */
  wiring(message: string): Wiring;
}

/**
 * A sample of the wanted size as JSON text, with the load generator's placeholders: `t` becomes the time of publishing, `seq` the
 * number of the message. All peers carry the same bytes.
 */
export function samplePayload(bytes: number): string {
  const head = `{"kind":"sample","at":1790000000000,"seq":@N@@@@@@@@,"boot":"01990000-0000-7000-8000-000000000001","t":@T@@@@@@@@@@@@@@,"metrics":{`;
  const names = [
    'cpu.busy',
    'cpu.user',
    'cpu.system',
    'memory.used',
    'load.1',
    'net.eth0.receive',
    'net.eth0.transmit',
    'disk.vda.write',
    'uptime',
  ];
  let metrics = '';
  for (let at = 0; head.length + metrics.length + 24 < bytes - 12; at++) metrics += `"${names[at] ?? `metric.${at}`}":0.125,`;
  const tail = '"pad":1';
  const body = head + metrics + tail;
  return `${body + '0'.repeat(bytes - body.length - 2)}}}`;
}
