/** Every limit of the door counts what it kept out. */

import { expect, test } from 'vitest';
import type { ConformanceServer } from '../../src/conformance/server.ts';
import { Allowance } from '../../src/gateway/allowance.ts';
import type { GatewayOptions } from '../../src/gateway/gateway.ts';
import { Seats } from '../../src/gateway/limits.ts';
import type { Method } from '../../src/protocol/commands.ts';
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
    rates: { commands: { perSecond: 0, burst: 2 } },
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

test('bytes of a person', async () => {
  const { server, counted } = await counting({ rates: { bytes: { perSecond: 1, burst: 1_000 } } });
  const client = await rawConnected(server);
  client.send({ id: 2, publish: { channel: 'a', data: 'x'.repeat(600) } });
  expect((await client.reply(2)).publish).toEqual({});
  client.send({ id: 3, publish: { channel: 'a', data: 'x'.repeat(600) } });
  expect((await client.closed).code).toBe(3013);
  expect(counted).toEqual(['message_bytes']);
});

test('publications of an agent, but not what it kept while it was away', () => {
  const allowance = new Allowance('agent', {
    commands: { perSecond: 0, burst: 0 },
    bytes: { perSecond: 0, burst: 0 },
    publications: { perSecond: 0, burst: 2 },
  });
  expect(['publish', 'rpc', 'publish', 'rpc', 'publish', 'rpc'].map((method) => allowance.takeCommand(method as Method))).toEqual([
    true,
    true,
    true,
    true,
    false,
    true,
  ]);
  expect(allowance.takeFrame(512 * 1024)).toBe(true);
});

test('nesting', async () => {
  const { server, counted } = await counting();
  const client = await rawConnected(server);
  client.send(`{"id":2,"publish":{"channel":"a","data":${'['.repeat(40)}${']'.repeat(40)}}}`);
  expect((await client.closed).code).toBe(3501);
  expect(counted).toEqual(['nesting']);
});

test('a network of /64 is one address, and a seat that is left while others are asked is left there too', async () => {
  const asked: string[][] = [];
  const left: string[][] = [];
  const answers: ((isFree: boolean) => void)[] = [];
  const seats = new Seats(
    { ...limits, connectionsPerUser: 2, connectionsPerAddress: 2 },
    {
      take: (wanted) => {
        asked.push(wanted.map(({ key }) => key));
        return new Promise((resolve) => answers.push(resolve));
      },
      leave: (keys) => void left.push([...keys]),
    },
  );
  const first = seats.take('ada', '2001:db8:1:2::1')!;
  const second = seats.take('bob', '2001:db8:1:2::2')!;
  expect(seats.isFull('2001:db8:1:2:ffff::9')).toBe(true);
  expect(seats.take('cid', '2001:db8:1:2::3')).toBeUndefined();
  expect(seats.take('cid', '2001:db8:1:3::3')).toBeDefined();
  const confirmed = [first.confirm(), second.confirm()];
  first.leave();
  second.leave();
  expect(left).toEqual([]);
  answers[0]!(true);
  answers[1]!(false);
  for (const isFree of confirmed) await isFree;
  expect(left).toEqual([asked[0]]);
  expect(seats.isFull('2001:db8:1:2::1')).toBe(false);
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
