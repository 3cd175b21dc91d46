/** Frames read straight from the socket: the same events in the same order as `ws` alone makes of the same bytes. */

import { Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { readDirect } from '../../src/hub/inbound.ts';
import { randomOf, seedFor } from '../support/seed.ts';

const random = randomOf(seedFor('inbound frames'));
const below = (limit: number): number => Math.floor(random() * limit);
const maxBytes = 1_000;

const text = 0x1;
const kinds = { continued: 0x0, text, binary: 0x2, close: 0x8, ping: 0x9, pong: 0xa };

function frame(head: number, payload: Buffer): Buffer {
  const mask = Buffer.from([below(256), below(256), below(256), random() < 0.5 ? 0 : 200]);
  const length =
    payload.length < 126 ? Buffer.from([0x80 + payload.length]) : Buffer.from([0xfe, payload.length >> 8, payload.length & 255]);
  return Buffer.concat([Buffer.from([head]), length, mask, payload.map((byte, at) => byte ^ mask[at & 3]!)]);
}

const final = (opcode: number, payload: Buffer | string): Buffer => frame(0x80 + opcode, Buffer.from(payload));
const words = (): Buffer =>
  Buffer.from(
    '{"ä":"€𝄞"}'
      .repeat(1 + below(8))
      .slice(0, below(60))
      .toWellFormed(),
  );

/** One message or control frame, seldom something that ends the connection. */
function piece(): Buffer[] {
  const dice = random();
  if (dice < 0.6) return [final(text, words())];
  if (dice < 0.7) return [frame(text, words()), final(kinds.ping, 'between'), final(kinds.continued, words())];
  if (dice < 0.75) return [final(text, 'x'.repeat(below(maxBytes + 1)))];
  if (dice < 0.8) return [final(text, '')];
  if (dice < 0.85) return [final(kinds.binary, words())];
  if (dice < 0.9) return [final(kinds.pong, words().subarray(0, 20))];
  if (dice < 0.95) return [final(kinds.ping, '')];
  const ends = [
    final(text, Buffer.from([0x61, 0xff])),
    final(text, 'x'.repeat(maxBytes + 1)),
    final(kinds.close, Buffer.from([3, 232])),
    frame(0xc0 + text, words()),
    frame(0x80 + 0x3, words()),
    Buffer.from([0x81, 0x02, 0x61, 0x62]),
  ];
  return [ends[below(ends.length)]!];
}

/** Mostly one frame each, as a peer's packets are; else frames together, or cut anywhere. */
function chunksOf(frames: readonly Buffer[]): Buffer[] {
  const chunks: Buffer[] = [];
  let rest = Buffer.alloc(0);
  for (const one of frames) {
    rest = Buffer.concat([rest, one]);
    if (random() < 0.15) continue;
    const cut = random() < 0.8 ? rest.length : 1 + below(rest.length);
    chunks.push(rest.subarray(0, cut));
    rest = rest.subarray(cut);
  }
  return [...chunks, rest].filter(({ length }) => length > 0);
}

/** What a connection tells of the chunks. Every `pauseAt`-th message pauses it for a while. */
async function eventsOf(chunks: readonly Buffer[], isDirect: boolean, pauseAt: number): Promise<{ events: string[]; direct: number }> {
  const Server = WebSocket as unknown as new (
    address: null,
    protocols: undefined,
    options: object,
  ) => WebSocket & {
    setSocket(socket: Duplex, head: Buffer, options: object): void;
  };
  const ws = new Server(null, undefined, {});
  const socket = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
  ws.setSocket(socket, Buffer.alloc(0), { maxPayload: maxBytes, allowSynchronousEvents: true });
  if (isDirect) readDirect(ws);
  const events: string[] = [];
  let viaWs = 0;
  socket.on('data', () => viaWs++);
  ws.on('message', (data: Buffer, isBinary) => {
    events.push(`${isBinary ? 'binary' : 'text'} ${data.toString('hex')}`);
    if (events.length % pauseAt !== 0) return;
    ws.pause();
    setImmediate(() => setImmediate(() => ws.resume()));
  });
  for (const control of ['ping', 'pong'] as const) ws.on(control, (data: Buffer) => events.push(`${control} ${data.toString('hex')}`));
  ws.on('error', (error) => events.push(`error ${error.message}`));
  for (const chunk of chunks) {
    // Copied, because reading takes the mask off in place.
    socket.push(Buffer.from(chunk));
    if (random() < 0.9) await new Promise(setImmediate);
  }
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
  ws.terminate();
  return { events, direct: chunks.length - viaWs };
}

test('whatever a peer sends, in whatever pieces, is told as ws tells it', async () => {
  let direct = 0;
  for (let round = 0; round < 300; round++) {
    const chunks = chunksOf(Array.from({ length: 30 }, piece).flat());
    const pauseAt = 2 + below(10);
    const expected = await eventsOf(chunks, false, pauseAt);
    const got = await eventsOf(chunks, true, pauseAt);
    expect(got.events).toEqual(expected.events);
    direct += got.direct;
  }
  expect(direct).toBeGreaterThan(1_000);
});
