/** Every limit of the door counts what it kept out. */

import { expect, test } from 'vitest';
import type { ConformanceServer } from '../../src/conformance/server.ts';
import type { GatewayOptions } from '../../src/gateway/gateway.ts';
import { clientFrame, raw, rawConnected, serve, tcp } from '../support/protocol.ts';
import { until } from '../support/until.ts';

const none = Infinity;
const limits = { subscriptions: none, connectionsPerUser: none, connectionsPerAddress: none, handshakes: none };

/** A server that counts, and the names of what it counted. */
async function counting(gateway: Partial<GatewayOptions> = {}): Promise<{ server: ConformanceServer; counted: string[] }> {
  const counted: string[] = [];
  const metrics = { received: () => undefined, error: () => undefined, dropped: (what: string) => void counted.push(what) };
  return { server: await serve({ gateway: { ...gateway, metrics } }), counted };
}

test('subscriptions, commands and connections', async () => {
  const { server, counted } = await counting({
    limits: { ...limits, subscriptions: 1, connectionsPerAddress: 1 },
    messageRate: { perSecond: 0, burst: 2 },
  });
  const client = await rawConnected(server, 'a');
  client.send({ id: 3, subscribe: { channel: 'b' } }, { id: 4, presence: { channel: 'a' } });
  expect((await client.reply(4)).error.code).toBe(111);
  expect(counted.splice(0)).toEqual(['subscription', 'command']);
  const second = await raw(server.webSocketUrl);
  second.send({ id: 1, connect: {} });
  await second.closed;
  await expect(raw(server.webSocketUrl, { headers: { origin: 'https://page.tld' } })).rejects.toThrow('429');
  expect(counted).toEqual(['connection', 'connection']);
});

test('handshakes', async () => {
  const { server, counted } = await counting({ limits: { ...limits, handshakes: 0.5 } });
  await expect(raw(server.webSocketUrl)).rejects.toThrow('503');
  expect(counted).toEqual(['handshake']);
});

test('messages too long, compressed or not, or too slow, and floods of pings', async () => {
  const { server, counted } = await counting({ timings: { messageMs: 50, sweepMs: 10 } });
  const long = await rawConnected(server);
  long.ws.send('x'.repeat(65_537));
  expect((await long.closed).code).toBe(1009);
  const packed = await raw(`${server.webSocketUrl}?compress=1`, { perMessageDeflate: true });
  packed.ws.send('x'.repeat(65_537));
  expect((await packed.closed).code).toBe(1009);
  const flood = await tcp(server);
  flood.socket.write(Buffer.concat(Array.from({ length: 500 }, () => clientFrame(0x89, 'x'))));
  await until(() => flood.closeCode() === 1008);
  const slow = await tcp(server);
  slow.socket.write(clientFrame(1, '{').subarray(0, 3));
  await until(() => slow.closeCode() === 1008);
  expect(counted).toEqual(['message_size', 'message_size', 'control_frames', 'message_time']);
});
