/** Bytes that go to a socket's handle past Node's streams: taken at once, taken later, refused, and in order with what the stream writes. */

import { once } from 'node:events';
import { createServer, connect, type AddressInfo, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { writeDirect } from '../../src/hub/direct.ts';
import { until } from '../support/until.ts';

/** Two ends of one connection; the far one reads nothing until it is told to. */
async function pair(): Promise<{ near: Socket; far: Socket }> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const far = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => undefined);
  const [near] = (await once(server, 'connection')) as [Socket];
  near.on('error', () => undefined);
  onTestFinished(() => {
    near.destroy();
    far.destroy();
    server.close();
  });
  // The first write of a process shows how Node's own streams use the handle.
  writeDirect(near, Buffer.from('!'), () => undefined);
  return { near, far };
}

test('a small write is taken at once, without calling back', async () => {
  const { near, far } = await pair();
  let calls = 0;
  expect(writeDirect(near, Buffer.from('hello'), () => calls++)).toBe(true);
  let text = '';
  far.setEncoding('utf8').on('data', (part: string) => (text += part));
  await until(() => text === '!hello');
  expect(calls).toBe(0);
});

test('what the kernel does not take is written later, before what the stream writes', async () => {
  const { near, far } = await pair();
  let done: unknown = 'waiting';
  const large = Buffer.alloc(32 * 1024 * 1024, 'a');
  expect(writeDirect(near, large, (error) => (done = error))).toBe(false);
  near.write('z');
  expect(done).toBe('waiting');
  let length = 0;
  let last = 0;
  far.on('data', (part: Buffer) => {
    length += part.length;
    last = part.at(-1)!;
  });
  await until(() => length === large.length + 2);
  expect(String.fromCharCode(last)).toBe('z');
  expect(done).toBeNull();
});

test('what was not written when the socket ends is told as an error', async () => {
  const { near } = await pair();
  let done: unknown = 'waiting';
  expect(writeDirect(near, Buffer.alloc(32 * 1024 * 1024), (error) => (done = error))).toBe(false);
  near.destroy();
  await until(() => done !== 'waiting');
  expect(done).toBeInstanceOf(Error);
  let late: unknown = 'waiting';
  expect(writeDirect(near, Buffer.from('late'), (error) => (late = error))).toBe(false);
  await until(() => late !== 'waiting');
  expect(late).toBeInstanceOf(Error);
});
