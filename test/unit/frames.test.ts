/** The codec: lines in, lines out, finished WebSocket frames. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as ws from 'ws';
import { textFrames } from '../../src/hub/frame.ts';
import { JsonText, nestsDeeper } from '../../src/lib/json.ts';
import { errors } from '../../src/protocol/codes.ts';
import { methods, parseFrame } from '../../src/protocol/frames.ts';
import { encodeError, encodePage, encodePush, encodeReply, pushHead } from '../../src/protocol/replies.ts';
import { seedFor } from '../support/seed.ts';

test('commands, pongs and what is refused', () => {
  expect(parseFrame('{}')).toEqual({ commands: [], pongs: 1, fault: undefined });
  expect(parseFrame('{}\n{"id":1,"rpc":{"method":"a"}}\n')).toMatchObject({
    pongs: 1,
    commands: [{ id: 1, method: 'rpc', request: { method: 'a' } }],
  });
  expect(parseFrame('{"rpc":{},"id":7}').commands[0]).toMatchObject({ id: 7, method: 'rpc' });
  expect(parseFrame('{"send":{"data":1}}').commands[0]).toMatchObject({ id: 0, method: 'send' });
  expect(parseFrame('{"id":1,"subscribe":{"channel":"a","token":null,"type":4}}').commands[0]?.refusal).toMatchObject({
    error: errors.notAvailable,
  });
  expect(parseFrame('{"id":1,"rpc":{}}\nx\n{"id":2,"rpc":{}}')).toMatchObject({
    commands: [{ id: 1 }],
    fault: expect.stringContaining('JSON') as string,
  });
  expect(parseFrame('[[[[]]]]', 3).fault).toBe('nested deeper than 3');
  expect(methods).toHaveLength(11);
});

test('a frame never throws, and any value survives the way through a publish and a push', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => void parseFrame(text)),
    { seed: seedFor('frames of text'), numRuns: 500 },
  );
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 8 }), fc.string(), (data, channel) => {
      if (channel === '' || JSON.stringify(data).includes('__proto__')) return;
      const line = JSON.stringify({ id: 1, publish: { channel, data } });
      const { commands, fault } = parseFrame(line);
      expect(fault).toBeUndefined();
      const [command] = commands;
      if (command?.method !== 'publish' || command.refusal) throw new Error('no publish');
      const push = encodePush(pushHead(channel), { data: JSON.stringify(command.request.data, null, 1), offset: 3 });
      expect(push).not.toContain('\n');
      expect(JSON.parse(push)).toEqual({ push: { channel, pub: { data: JSON.parse(JSON.stringify(data)), offset: 3 } } });
    }),
    { seed: seedFor('values'), numRuns: 500 },
  );
});

test('the depth scan agrees with a recursive count', () => {
  const depth = (value: unknown): number =>
    typeof value !== 'object' || value === null ? 0 : 1 + Math.max(0, ...Object.values(value).map(depth));
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 12 }), fc.integer({ min: 0, max: 12 }), (value, limit) => {
      expect(nestsDeeper(JSON.stringify(value), limit)).toBe(depth(value) > limit);
    }),
    { seed: seedFor('depth'), numRuns: 500 },
  );
  expect(nestsDeeper(`"${'['.repeat(100)}\\"${'['.repeat(100)}"`, 3)).toBe(false);
  expect(nestsDeeper('['.repeat(100_000), 32)).toBe(true);
});

test('replies leave out what is empty, and never hold a line break', () => {
  expect(encodeReply(1, 'publish', {})).toBe('{"id":1,"publish":{}}');
  expect(encodeError(2, errors.internal)).toBe('{"id":2,"error":{"code":100,"message":"internal server error","temporary":true}}');
  expect(encodeError(2, errors.badRequest, 'why')).toBe('{"id":2,"error":{"code":107,"message":"why"}}');
  expect(encodePage(3, 'subscribe', { data: new JsonText('{"a":[1]}') }, [])).toBe('{"id":3,"subscribe":{"data":{"a":[1]}}}');
  expect(encodePage(3, 'subscribe', { offset: 1, data: new JsonText('[]') }, [{ data: '2', offset: 1 }])).toBe(
    '{"id":3,"subscribe":{"offset":1,"data":[],"publications":[{"data":2,"offset":1}]}}',
  );
  expect(JSON.stringify({ x: new JsonText('{"a":1}') })).toBe('{"x":{"a":1}}');
  expect(encodePage(3, 'subscribe', {}, [{ data: '1\n', offset: 1, info: '{}' }])).toBe(
    '{"id":3,"subscribe":{"publications":[{"data":1 ,"info":{},"offset":1}]}}',
  );
  expect(encodePush(pushHead('a"b'), { data: '{"x":\r\n1}' }, 'e')).toBe(
    '{"push":{"channel":"a\\"b","pub":{"data":{"x": 1},"epoch":"e"}}}',
  );
});

test('finished frames are read by a real receiver as the texts that went in', async () => {
  const { Receiver } = ws as unknown as { Receiver: new (options: object) => NodeJS.WritableStream };
  const lengths = [0, 1, 125, 126, 127, 65_535, 65_536, 131_072, 131_073, 300_000];
  for (const length of lengths) {
    const texts = ['é'.repeat(length), '{"n":1}', 'x'.repeat(length)];
    const receiver = new Receiver({ isServer: false });
    const messages: string[] = [];
    receiver.on('message', (data: Buffer) => messages.push(data.toString()));
    const { bytes, payloads } = textFrames(texts);
    await new Promise<void>((resolve) => receiver.write(bytes, () => resolve()));
    expect(messages.join('\n')).toBe(texts.join('\n'));
    expect(payloads.map(String)).toEqual(messages);
    expect(textFrames(texts, 1).payloads.map(String).join('\n')).toBe(texts.slice(1).join('\n'));
  }
});
