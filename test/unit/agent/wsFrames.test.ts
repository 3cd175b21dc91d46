import fc from 'fast-check';
import { deflateRawSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { encodeFrame, FrameError, FrameReader, opcodes, type Message } from '../../../agent/wsFrames.ts';

const maxBytes = 10_000;

/** A frame as a server sends it. */
function frame(first: number, payload: Buffer): Buffer {
  const { length } = payload;
  const head =
    length < 126
      ? Buffer.from([first, length])
      : length < 65_536
        ? Buffer.from([first, 126, length >> 8, length & 255])
        : Buffer.from([first, 127, 0, 0, 0, 0, ...u32(length)]);
  return Buffer.concat([head, payload]);
}
const u32 = (value: number): number[] => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];

const closeCodeOf = (bytes: Buffer, mayDeflate = true): number | undefined => {
  try {
    new FrameReader(maxBytes, mayDeflate).push(bytes);
    return undefined;
  } catch (error) {
    if (error instanceof FrameError) return error.closeCode;
    throw error;
  }
};

test('messages come out whole, however the bytes are cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 5 }),
      fc.array(fc.integer({ min: 1, max: 50 })),
      (payloads, cuts) => {
        const bytes = Buffer.concat(payloads.map((payload) => frame(0x81, Buffer.from(payload))));
        const reader = new FrameReader(maxBytes, true);
        const messages: Message[] = [];
        let offset = 0;
        for (const cut of [...cuts, bytes.length]) {
          messages.push(...reader.push(bytes.subarray(offset, offset + cut)));
          offset += cut;
        }
        expect(messages.map((message) => [...message.payload])).toEqual(payloads.map((payload) => [...payload]));
      },
    ),
  );
});

test('fragments with a control frame between them make one message', () => {
  const reader = new FrameReader(maxBytes, false);
  const bytes = Buffer.concat([
    frame(0x01, Buffer.from('ab')),
    frame(0x89, Buffer.from('p')),
    frame(0x00, Buffer.from('c')),
    frame(0x80, Buffer.from('d')),
  ]);
  expect(reader.push(bytes).map(({ opcode, payload }) => [opcode, payload.toString()])).toEqual([
    [opcodes.ping, 'p'],
    [opcodes.text, 'abcd'],
  ]);
});

test.each<[string, Buffer, number]>([
  ['masked', Buffer.from([0x81, 0x80, 0, 0, 0, 0]), 1002],
  ['reserved bit', Buffer.from([0xa1, 0]), 1002],
  ['reserved opcode', Buffer.from([0x83, 0]), 1002],
  ['reserved control opcode', Buffer.from([0x8b, 0]), 1002],
  ['long ping', frame(0x89, Buffer.alloc(126)), 1002],
  ['fragmented ping', Buffer.from([0x09, 0]), 1002],
  ['continuation first', Buffer.from([0x80, 0]), 1002],
  ['text inside a message', Buffer.from([0x01, 0, 0x81, 0]), 1002],
  ['too large', frame(0x81, Buffer.alloc(maxBytes + 1)), 1009],
  ['too large by its header', Buffer.from([0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255]), 1009],
  ['too large together', Buffer.concat([frame(0x01, Buffer.alloc(9_000)), frame(0x80, Buffer.alloc(2_000))]), 1009],
  ['bomb', frame(0xc1, deflateRawSync(Buffer.alloc(5_000_000))), 1009],
  ['broken compression', frame(0xc1, Buffer.from([0xff, 0xff, 0xff])), 1007],
])('%s ends the connection', (_, bytes, closeCode) => {
  expect(closeCodeOf(bytes)).toBe(closeCode);
});

test('compression that was not agreed on is refused', () => {
  expect(closeCodeOf(frame(0xc1, Buffer.from([0])), false)).toBe(1002);
});

test('random bytes do nothing but end the connection', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      closeCodeOf(Buffer.from(bytes));
    }),
    { numRuns: 2_000 },
  );
});

test('what is sent is masked, large frames compressed', () => {
  const text = Buffer.from('{"metrics":{"cpu.busy":0.1}}'.repeat(100));
  const sent = encodeFrame(opcodes.text, text, true);
  expect(sent[0]).toBe(0xc1);
  expect(sent[1]! & 0x80).toBe(0x80);
  expect(sent.length).toBeLessThan(300);
  expect(encodeFrame(opcodes.text, text, false).length).toBe(text.length + 8);
  expect(encodeFrame(opcodes.text, Buffer.from('{}'), true)[0]).toBe(0x81);
});
