/** Frames that break RFC 6455 or the protocol get the right close code, and nobody else notices. */

import { randomBytes } from 'node:crypto';
import { deflateRawSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { usedBufferBytes } from '../support/memory.ts';
import { clientFrame, raw, rawConnected, serve, tcp } from '../support/protocol.ts';
import { seedFor } from '../support/seed.ts';
import { until } from '../support/until.ts';

const text = 0x81;
const fin = 0x80;

const broken: [string, Buffer, number][] = [
  ['unmasked text', clientFrame(text, '{}', { masked: false }), 1002],
  ['RSV1 without an extension', clientFrame(text | 0x40, '{}'), 1002],
  ['RSV2', clientFrame(text | 0x20, '{}'), 1002],
  ['RSV3', clientFrame(text | 0x10, '{}'), 1002],
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode): [string, Buffer, number] => [
    `opcode ${opcode}`,
    clientFrame(fin | opcode, 'x'),
    1002,
  ]),
  ['continuation without a start', clientFrame(fin | 0, 'x'), 1002],
  ['unfinished continuation without a start', clientFrame(0, 'x'), 1002],
  ['text within a fragmented text', Buffer.concat([clientFrame(1, '{'), clientFrame(text, '}')]), 1002],
  ['fragmented ping', clientFrame(9, 'x'), 1002],
  ['fragmented close', clientFrame(8, ''), 1002],
  ['ping of 126 bytes', clientFrame(0x89, Buffer.alloc(126)), 1002],
  ['pong of 1,000 bytes', clientFrame(0x8a, Buffer.alloc(1000)), 1002],
  ['close of one byte', clientFrame(0x88, 'x'), 1002],
  ...[0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535].map((code): [string, Buffer, number] => [
    `close with code ${code}`,
    clientFrame(0x88, codeBytes(code)),
    1002,
  ]),
  [
    'close with a reason that is not UTF-8',
    clientFrame(0x88, Buffer.concat([codeBytes(1000), Buffer.from([0xce, 0xba, 0xe1, 0xbd, 0xff])])),
    1007,
  ],
  ['length above 2^53', Buffer.from([text, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]), 1009],
  ['length of 1 MiB and one byte', clientFrame(text, '', { length: 1024 * 1024 + 1 }), 1009],
  ['64 KiB and one byte before connect, by its header alone', clientFrame(text, '', { length: 65_537 }), 1009],
  ['64 KiB and one byte in fragments', Buffer.concat([clientFrame(1, 'x'.repeat(40_000)), clientFrame(0, 'x'.repeat(25_537))]), 1009],
  ...(
    [
      ['lone continuation byte', [0x80]],
      ['truncated sequence', [0x7b, 0xc3]],
      ['overlong slash', [0xc0, 0xaf]],
      ['surrogate', [0xed, 0xa0, 0x80]],
      ['above U+10FFFF', [0xf4, 0x90, 0x80, 0x80]],
      ['0xFE', [0xfe]],
      ['0xFF', [0xff]],
      ['five byte sequence', [0xf8, 0x88, 0x80, 0x80, 0x80]],
    ] as const
  ).map(([what, bytes]): [string, Buffer, number] => [`bad UTF-8: ${what}`, clientFrame(text, Buffer.from(bytes)), 1007]),
  ['bad UTF-8 across fragments', Buffer.concat([clientFrame(1, Buffer.from([0xce])), clientFrame(fin | 0, Buffer.from([0x20]))]), 1007],
  ['binary', clientFrame(0x82, '{}'), 3501],
];

function codeBytes(code: number): Buffer {
  return Buffer.from([code >> 8, code & 0xff]);
}

test.each(broken)('%s', async (_what, bytes, code) => {
  const server = await serve();
  const { socket, closeCode } = await tcp(server);
  socket.write(bytes);
  await until(() => closeCode() !== undefined);
  expect(closeCode()).toBe(code);
});

test.each([1000, 1001, 1003, 1007, 1008, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999])(
  'a close with code %i is answered with the same',
  async (code) => {
    const server = await serve();
    const { socket, closeCode } = await tcp(server);
    socket.write(clientFrame(0x88, codeBytes(code)));
    await until(() => closeCode() !== undefined);
    expect(closeCode()).toBe(code);
  },
);

test('a message in many fragments, with pings between them, is one message', async () => {
  const server = await serve();
  const { socket, received } = await tcp(server);
  const bytes = Buffer.from('{"id":1,"connect":{"name":"ünïcödé"}}');
  for (let at = 0; at < bytes.length; at++)
    socket.write(
      Buffer.concat([
        clientFrame((at === bytes.length - 1 ? fin : 0) | (at === 0 ? 1 : 0), bytes.subarray(at, at + 1)),
        clientFrame(0x89, 'hi'),
      ]),
    );
  await until(() => received().includes('"connect":{'));
  expect(received().includes(Buffer.from([0x8a, 2, 0x68, 0x69]))).toBe(true);
});

test('a message that never ends is cut with 1008, and its memory is not kept', async () => {
  const server = await serve({ gateway: { timings: { messageMs: 200, sweepMs: 10 } } });
  const { socket, closeCode } = await tcp(server);
  socket.write(clientFrame(1, '{'));
  const trickle = setInterval(() => {
    if (!socket.destroyed) socket.write(Buffer.concat([clientFrame(0, ' '), clientFrame(0x89, 'x')]));
  }, 20);
  await until(() => closeCode() !== undefined);
  clearInterval(trickle);
  expect(closeCode()).toBe(1008);

  const half = await tcp(server);
  half.socket.write(clientFrame(text, '{"id":1').subarray(0, 5));
  await until(() => half.closeCode() !== undefined);
  expect(half.closeCode()).toBe(1008);
});

test('a flood of pings is cut with 1008', async () => {
  const server = await serve();
  const { socket, closeCode } = await tcp(server);
  socket.write(Buffer.concat(Array.from({ length: 500 }, () => clientFrame(0x89, 'x'))));
  await until(() => closeCode() !== undefined);
  expect(closeCode()).toBe(1008);
});

test('the cap is 64 KiB for people, and a frame just below it passes', async () => {
  const server = await serve();
  const client = await rawConnected(server, 'big');
  const frame = (length: number): string => {
    const head = '{"id":3,"publish":{"channel":"big","data":"';
    return `${head}${'x'.repeat(length - head.length - 3)}"}}`;
  };
  client.send(frame(65_536));
  expect(await client.reply(3)).toEqual({ id: 3, publish: {} });
  client.send(frame(65_537));
  expect((await client.closed).code).toBe(1009);
});

test('200 compressed bombs at once stop at the cap without filling memory', async () => {
  const server = await serve();
  const bomb = deflateRawSync(Buffer.alloc(64 * 1024 * 1024), { level: 9 }).subarray(0, 60_000);
  const frame = clientFrame(text | 0x40, bomb);
  const all = await Promise.all(
    Array.from({ length: 200 }, () => tcp(server, ['Sec-WebSocket-Extensions: permessage-deflate'], '?compress=1')),
  );
  const before = usedBufferBytes();
  let most = before;
  for (const { socket } of all) socket.write(frame);
  await until(() => {
    most = Math.max(most, usedBufferBytes());
    return all.every(({ closeCode }) => closeCode() !== undefined);
  });
  for (const { closeCode } of all) expect(closeCode()).toBe(1009);
  // 12 MB of frames, four at a time inflated up to 1 MiB; without the cap four would have 240.
  expect((most - before) / 2 ** 20).toBeLessThan(60);
});

test('random garbage of every size ends in a proper close, and another client keeps talking', async () => {
  const server = await serve();
  const good = await rawConnected(server, 'calm');
  const seed = seedFor('garbage');
  let state = seed;
  const random = (below: number): number => (state = (state * 1_103_515_245 + 12_345) % 2_147_483_648) % below;
  const codes = new Set<number>();
  for (let round = 0; round < 200; round++) {
    const { socket, closeCode } = await tcp(server);
    const size = 1 + random(random(2) ? 64 : 20_000);
    const masked = random(3) > 0;
    socket.write(masked ? clientFrame(random(256), randomBytes(size)) : randomBytes(size));
    // Whatever the bytes were taken for, an end of writing ends it.
    socket.end();
    await until(() => closeCode() !== undefined);
    codes.add(closeCode()!);
    good.send({ id: 100 + round, publish: { channel: 'calm', data: round } });
  }
  await good.reply(299);
  await until(() => good.lines.filter(({ push }) => push?.pub).length === 200);
  for (const code of codes) expect([1000, 1002, 1005, 1006, 1007, 1009, 3501]).toContain(code);
  await until(() => server.gateway.connections === 1);
});

test('64 MiB in one message is refused at its header', async () => {
  const server = await serve();
  const before = process.memoryUsage.rss();
  const client = await raw(server.webSocketUrl);
  client.ws.send('x'.repeat(64 * 1024 * 1024));
  expect((await client.closed).code).toBe(1009);
  // The sender of the 64 MiB lives in this process too.
  expect((process.memoryUsage.rss() - before) / 2 ** 20).toBeLessThan(220);
});
