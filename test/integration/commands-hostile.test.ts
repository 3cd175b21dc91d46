/** Lines that are no proper commands, and handshakes that should not pass. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { raw, rawConnected, seconds, serve, tcp, token } from '../support/protocol.ts';
import { seedFor } from '../support/seed.ts';
import { until } from '../support/until.ts';

const refused: [string, string][] = [
  ['an empty frame', ''],
  ['a single line break', '\n'],
  ['a blank line in the middle', '{"id":2,"presence":{"channel":"a"}}\n\n{"id":3,"presence":{"channel":"a"}}'],
  ['a blank line at the end', '{"id":2,"presence":{"channel":"a"}}\n\n'],
  ['spaces', '  '],
  ['broken JSON', '{"id":2,"presence":{"channel":"a"}'],
  ['an array', '[]'],
  ['a number', '7'],
  ['null', 'null'],
  ['a command without id', '{"presence":{"channel":"a"}}'],
  ['id 0', '{"id":0,"presence":{"channel":"a"}}'],
  ['a negative id', '{"id":-1,"presence":{"channel":"a"}}'],
  ['a fractional id', '{"id":1.5,"presence":{"channel":"a"}}'],
  ['an id of 2^32', '{"id":4294967296,"presence":{"channel":"a"}}'],
  ['an id of 1e400', '{"id":1e400,"presence":{"channel":"a"}}'],
  ['a text as id', '{"id":"2","presence":{"channel":"a"}}'],
  ['an unknown command', '{"id":2,"fly":{}}'],
  ['the command constructor', '{"id":2,"constructor":{}}'],
  ['the command toString', '{"id":2,"toString":{}}'],
  ['the command ping', '{"id":2,"ping":{}}'],
  ['a request that is a list', '{"id":2,"presence":[]}'],
  ['a request that is null', '{"id":2,"presence":null}'],
  ['no channel', '{"id":2,"presence":{}}'],
  ['a channel that is a number', '{"id":2,"subscribe":{"channel":7}}'],
  ['a channel that is a list', '{"id":2,"subscribe":{"channel":["a"]}}'],
  ['an offset that is negative', '{"id":2,"subscribe":{"channel":"a","recover":true,"offset":-1}}'],
  ['an offset of 2^53 + 1', '{"id":2,"subscribe":{"channel":"a","recover":true,"offset":9007199254740993}}'],
  ['an unknown delta', '{"id":2,"subscribe":{"channel":"a","delta":"vcdiff"}}'],
  ['a second connect', '{"id":2,"connect":{}}'],
  ['a refresh of nothing', '{"id":2,"refresh":{"token":"x"}}'],
  ['a key __proto__', '{"id":2,"publish":{"channel":"a","data":{"__proto__":{"admin":true}}}}'],
  ['an escaped key __proto__', '{"id":2,"publish":{"channel":"a","data":[{"\\u005f_proto__":1}]}}'],
  ['100,000 nested lists', '['.repeat(60_000)],
  ['33 levels of data', `{"id":2,"publish":{"channel":"a","data":${'['.repeat(33)}${']'.repeat(33)}}}`],
  ['a NUL', '\0'],
];

test.each(refused)('%s closes with 3501', async (_what, frame) => {
  const server = await serve();
  const client = await rawConnected(server);
  client.ws.send(frame);
  expect(await client.closed).toEqual({ code: 3501, reason: 'bad request' });
});

test('what stands before the fault in a frame is still done', async () => {
  const server = await serve();
  const client = await rawConnected(server);
  client.ws.send('{"id":2,"publish":{"channel":"a","data":1}}\nnonsense');
  expect(await client.closed).toMatchObject({ code: 3501 });
  expect(client.lines.at(-1)).toEqual({ id: 2, publish: {} });
});

test('harmless oddities pass', async () => {
  const server = await serve();
  const client = await rawConnected(server);
  client.ws.send('{"id":2,"publish":{"channel":"odd","data":{"text":"__proto__ and [[[[ in \\"text\\"","n":1e400}},"unknown":1}\n');
  client.ws.send('{"presence":{"channel":"odd","later":[1]},"id":3}');
  client.ws.send(`{"id":4,"publish":{"channel":"odd","data":${'['.repeat(30)}${']'.repeat(30)}}}`);
  client.ws.send('{"id":5,"publish":{"channel":"odd","data":"\\ud800"}}');
  client.ws.send('{"id":6,"history":{"channel":"odd","limit":-1}}');
  expect((await client.reply(6)).history.publications).toHaveLength(3);
  expect(({} as { admin?: boolean }).admin).toBeUndefined();
});

test('commands before connect close with 3501; those pipelined behind it wait for it', async () => {
  const server = await serve();
  const early = await raw(server.webSocketUrl);
  early.send({ id: 1, subscribe: { channel: 'a' } });
  expect(await early.closed).toMatchObject({ code: 3501 });
  const pipelined = await raw(server.webSocketUrl);
  pipelined.send({ id: 1, connect: {} }, { id: 2, subscribe: { channel: 'a' } });
  expect((await pipelined.reply(2)).subscribe).toBeDefined();
});

test('after a refused connect nothing else is accepted, and what was pipelined is not answered', async () => {
  const server = await serve();
  const client = await raw(server.webSocketUrl);
  client.send({ id: 1, connect: { token: await token({ exp: seconds(-100) }) } }, { id: 2, subscribe: { channel: 'a' } });
  expect((await client.reply(1)).error).toMatchObject({ code: 109 });
  client.send({ id: 3, subscribe: { channel: 'a' } });
  expect(await client.closed).toMatchObject({ code: 3501 });
  expect(client.lines).toHaveLength(1);
  expect(server.hub.connections.user).toBe(0);
});

const origins: [string, string[], number][] = [
  ['none', [], 101],
  ['the allowed one', ['Origin: https://hub.tld'], 101],
  ['a foreign one', ['Origin: https://evil.tld'], 403],
  ['null', ['Origin: null'], 403],
  ['an empty one', ['Origin:'], 403],
  ['the allowed one as a prefix', ['Origin: https://hub.tld.evil.tld'], 403],
  ['another port', ['Origin: https://hub.tld:444'], 403],
  ['http instead of https', ['Origin: http://hub.tld'], 403],
  ['upper case', ['Origin: https://HUB.tld'], 403],
  ['a trailing dot', ['Origin: https://hub.tld.'], 403],
  ['a trailing slash', ['Origin: https://hub.tld/'], 403],
  ['two of them', ['Origin: https://hub.tld', 'Origin: https://evil.tld'], 403],
  ['the same twice', ['Origin: https://hub.tld', 'Origin: https://hub.tld'], 403],
  ['the old name of the header', ['Sec-WebSocket-Origin: https://evil.tld'], 403],
];

test.each(origins)('origin: %s is answered with its status', async (_what, headers, status) => {
  const server = await serve({ gateway: { allowedOrigins: ['https://hub.tld'] } });
  const { status: answered } = await tcp(server, headers);
  expect(answered).toBe(status);
  await until(() => server.gateway.connections === (status === 101 ? 1 : 0));
});

test('Protobuf is refused at the upgrade, centrifuge-json is echoed, other protocols are not', async () => {
  const server = await serve();
  for (const [protocols, query] of [
    [['centrifuge-protobuf'], ''],
    [['centrifuge-json', 'centrifuge-protobuf'], ''],
    [[], '?format=protobuf'],
    [[], '?cf_protocol=protobuf'],
  ] as const)
    await expect(raw(server.webSocketUrl + query, {}, [...protocols])).rejects.toThrow('400');
  const json = await raw(server.webSocketUrl, {}, ['centrifuge-json']);
  expect(json.ws.protocol).toBe('centrifuge-json');
});

test('compression is for programs that ask: never with an Origin, never by default', async () => {
  const server = await serve();
  const extensions = async (query: string, headers: Record<string, string> = {}): Promise<string> =>
    (await raw(server.webSocketUrl + query, { headers })).ws.extensions;
  expect(await extensions('')).toBe('');
  expect(await extensions('?compress=1', { origin: 'https://page.tld' })).toBe('');
  expect(await extensions('?compress=1')).toContain('permessage-deflate');
  const client = await raw(`${server.webSocketUrl}?compress=1`);
  client.send(
    { id: 1, connect: {} },
    { id: 2, subscribe: { channel: 'zip' } },
    { id: 3, publish: { channel: 'zip', data: 'x'.repeat(5000) } },
  );
  expect((await client.line(({ push }) => push?.pub)).push.pub.data).toBe('x'.repeat(5000));
});

test('odd extension offers and huge heads are refused or ignored, never fatal', async () => {
  const server = await serve();
  const odd = [
    'permessage-deflate; server_max_window_bits=8; '.repeat(150),
    'constructor',
    'permessage-deflate; __proto__=1',
    'permessage-deflate; server_max_window_bits=99',
    ';;;',
    'x'.repeat(7000),
  ];
  for (const offer of odd)
    for (const query of ['', '?compress=1'])
      expect([101, 400]).toContain((await tcp(server, [`Sec-WebSocket-Extensions: ${offer}`], query)).status);
  expect([101, 431]).toContain(
    (
      await tcp(
        server,
        Array.from({ length: 20_000 }, (_, at) => `X-${at}: 1`),
      )
    ).status,
  );
  expect((await tcp(server, [`X-Long: ${'x'.repeat(65_536)}`])).status).toBe(431);
  await rawConnected(server);
});

test('handshakes beyond the rate are answered with 503, connections of an address with 429', async () => {
  const limits = { subscriptions: 128, connectionsPerUser: 100, connectionsPerAddress: 2, handshakes: 5 };
  const server = await serve({ gateway: { limits } });
  const page = { headers: { origin: 'https://page.tld' } };
  for (let n = 0; n < 2; n++) await rawConnected(server, undefined, page);
  await expect(raw(server.webSocketUrl, page)).rejects.toThrow('429');
  const script = await raw(server.webSocketUrl);
  script.send({ id: 1, connect: {} });
  expect(await script.closed).toMatchObject({ code: 3504 });
  const statuses = await Promise.all(
    Array.from({ length: 10 }, () =>
      raw(server.webSocketUrl).then(
        () => 101,
        (error: Error) => Number(error.message.slice(-3)),
      ),
    ),
  );
  expect(statuses).toContain(503);
});

test('an upgrade elsewhere is refused; a plain GET here too', async () => {
  const server = await serve();
  const elsewhere = new WebSocket(`${server.url.replace('http', 'ws')}/health`);
  const status = await new Promise((resolve) =>
    elsewhere.once('unexpected-response', (_request, response) => resolve(response.statusCode)).once('open', () => resolve('open')),
  );
  expect(status).toBe(404);
  expect((await fetch(`${server.url}/connection/websocket`)).status).toBe(404);
  expect((await fetch(`${server.url}/health`)).status).toBe(200);
});

test('a message rate, where one is set, is answered with 111', async () => {
  const server = await serve({ gateway: { rates: { commands: { perSecond: 1, burst: 3 } } } });
  const client = await rawConnected(server);
  client.send(...[2, 3, 4, 5].map((id) => ({ id, presence: { channel: 'a' } })));
  expect((await client.reply(5)).error).toEqual({ code: 111, message: 'too many requests', temporary: true });
  expect((await client.reply(4)).presence).toBeDefined();
});

test('any text at all either is a command or closes with 3501', async () => {
  const server = await serve();
  const line = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.json(),
    fc.record({ id: fc.anything(), subscribe: fc.anything() }).map((value) => JSON.stringify(value)),
    fc
      .dictionary(
        fc.constantFrom('id', 'connect', 'subscribe', 'publish', 'history', 'rpc', 'send', 'presence', 'refresh', 'x'),
        fc.jsonValue({ maxDepth: 3 }),
      )
      .map((value) => JSON.stringify(value)),
  );
  const seed = seedFor('text');
  await fc.assert(
    fc.asyncProperty(line, async (text) => {
      const client = await rawConnected(server);
      client.ws.send(text);
      client.ws.send('{"id":4000000000,"presence":{"channel":"a"}}');
      const outcome = await Promise.race([client.closed.then(({ code }) => code), client.reply(4_000_000_000).then(() => 'answered')]);
      client.ws.terminate();
      return outcome === 'answered' || outcome === 3501 || outcome === 3508;
    }),
    { numRuns: 150, seed },
  );
});
