/** The proxy of the fault tests does to connections what it is told. */

import { connect, createServer, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { startFaultProxy, type FaultProxy } from '../support/faults/faultProxy.ts';
import { until } from '../support/until.ts';

interface Line {
  socket: Socket;
  /** Pieces as they came back from the echo. */
  pieces: string[];
  text(): string;
  ended: 'open' | 'end' | 'reset';
}

/** An echo behind the proxy, whose ends of connections are seen as well. */
async function startEcho(): Promise<{ proxy: FaultProxy; open(): Promise<Line>; far: Socket[] }> {
  const far: Socket[] = [];
  const server = createServer((socket) => {
    far.push(socket);
    socket.on('error', () => undefined).pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy = await startFaultProxy({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
  onTestFinished(async () => {
    await proxy.close();
    for (const socket of far) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const open = async (): Promise<Line> => {
    const socket = connect({ host: '127.0.0.1', port: proxy.port, noDelay: true });
    onTestFinished(() => void socket.destroy());
    const line: Line = { socket, pieces: [], text: () => line.pieces.join(''), ended: 'open' };
    socket.on('data', (data: Buffer) => line.pieces.push(data.toString()));
    socket.on('end', () => (line.ended = 'end'));
    socket.on('error', () => (line.ended = 'reset'));
    await until(() => socket.readyState === 'open' || line.ended === 'reset');
    return line;
  };
  return { proxy, open, far };
}

test('hands everything on in order, with delay, jitter and in slices', async () => {
  const { proxy, open } = await startEcho();
  const line = await open();
  proxy.set({ latencyMs: 20, jitterMs: 30, sliceBytes: 3 });
  const text = Array.from({ length: 50 }, (_, i) => `number ${i};`).join('');
  for (const part of text.split(/(?<=;)/)) line.socket.write(part);
  const beganMs = performance.now();
  await until(() => line.text() === text);
  expect(performance.now() - beganMs).toBeGreaterThan(20);
  expect(proxy.bytes).toEqual({ up: text.length, down: text.length });
});

test('swallows one direction, or both, without a word; what was torn is reset at healing', async () => {
  const { proxy, open, far } = await startEcho();
  const [torn, whole] = [await open(), await open()];
  torn.socket.write('before');
  await until(() => torn.text() === 'before');
  proxy.set({ blackhole: true }, 'down');
  torn.socket.write('heard');
  await until(() => proxy.bytes.up === 'beforeheard'.length);
  proxy.set({ blackhole: true });
  torn.socket.write('unheard');
  const late = await open();
  late.socket.write('also unheard');
  await until(() => proxy.swallowed === 'heardunheardalso unheard'.length && far.length === 3);
  expect([torn.text(), late.text(), torn.ended, late.ended]).toEqual(['before', '', 'open', 'open']);
  proxy.heal();
  await until(() => torn.ended === 'reset' && late.ended === 'reset');
  whole.socket.write('whole');
  await until(() => whole.text() === 'whole');
});

test('resets, refuses, closes slowly, and cuts at a sign', async () => {
  const { proxy, open } = await startEcho();
  const first = await open();
  proxy.reset();
  await until(() => first.ended === 'reset');
  proxy.refuse(true);
  const second = await open();
  await until(() => second.ended === 'reset');
  proxy.refuse(false);
  const third = await open();
  const closing = proxy.closeSlowly(50);
  third.socket.write('too late');
  expect(third.ended).toBe('open');
  await closing;
  await until(() => third.ended === 'end');
  const fourth = await open();
  proxy.watch((direction, chunk) => direction === 'up' || !chunk.includes('answer'));
  fourth.socket.write('answer');
  await until(() => proxy.swallowed === 'answer'.length);
  proxy.watch(undefined);
  fourth.socket.write('more');
  await until(() => fourth.text() === 'more');
});
