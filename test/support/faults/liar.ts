/** Stands between a hub and its viewers and changes what the hub says: a hub that is broken on purpose. */

import type { AddressInfo } from 'node:net';
import { WebSocket, WebSocketServer } from 'ws';

/** A publication as the protocol has it in pushes, and in the replies of a recovery. */
export interface Told {
  offset?: number;
  data: { boot: string; seq: number };
}

export interface Lies {
  /** What the viewer gets in the place of each publication pushed to it; `n` counts them from 0. */
  pushed?(publication: Told, n: number): Told[];
  /** What a recovery holds in the place of what the hub put there. */
  recovered?(publications: Told[]): Told[];
}

export interface Liar {
  /** As of a hub. */
  url: string;
  /** From now on nothing is changed any more. */
  stop(): void;
  /** Cuts all connections, without a close frame. */
  cut(): void;
  /** Publications that came from the hub. */
  readonly heard: number;
}

interface Line {
  push?: { channel: string; pub?: Told };
  subscribe?: { recovered?: boolean; publications?: Told[] };
}

/** @param hubUrl of the hub's socket */
export async function startLiar(whenDone: (close: () => void) => void, hubUrl: string, lies: Lies): Promise<Liar> {
  let { pushed, recovered } = lies;
  let heard = 0;
  const change = (line: string): string[] => {
    const told = JSON.parse(line) as Line;
    const { push, subscribe } = told;
    if (push?.pub) {
      const instead = pushed?.(push.pub, heard) ?? [push.pub];
      heard += 1;
      return instead.map((pub) => JSON.stringify({ push: { ...push, pub } }));
    }
    if (!subscribe?.recovered || !subscribe.publications || !recovered) return [line];
    return [JSON.stringify({ ...told, subscribe: { ...subscribe, publications: recovered(subscribe.publications) } })];
  };
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await new Promise((resolve) => server.once('listening', resolve));
  server.on('connection', (viewer) => {
    const hub = new WebSocket(hubUrl);
    const early: string[] = [];
    viewer.on('message', (data: Buffer) => (hub.readyState === WebSocket.OPEN ? hub.send(data.toString()) : early.push(data.toString())));
    hub.on('open', () => early.forEach((text) => hub.send(text)));
    hub.on('message', (data: Buffer) => {
      const lines = data.toString().split('\n').flatMap(change);
      if (lines.length > 0) viewer.send(lines.join('\n'));
    });
    viewer.on('close', () => hub.terminate());
    hub.on('close', () => viewer.terminate());
    hub.on('error', () => viewer.terminate());
  });
  const cut = (): void => server.clients.forEach((viewer) => viewer.terminate());
  whenDone(() => {
    cut();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: () => ([pushed, recovered] = [undefined, undefined]),
    cut,
    get heard() {
      return heard;
    },
  };
}
