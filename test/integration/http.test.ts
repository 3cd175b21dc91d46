/** The HTTP server against bad input, and what it sends to browsers. */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import { startTestApi } from '../support/api.ts';
import { until } from '../support/until.ts';

const webRoot = await mkdtemp(join(tmpdir(), 'hostroom-web-'));
afterAll(() => rm(webRoot, { recursive: true }));
await mkdir(join(webRoot, 'assets'));
await writeFile(join(webRoot, 'index.html'), '<meta property="csp-nonce" nonce="__CSP_NONCE__" /><div id="root"></div>');
await writeFile(join(webRoot, 'assets/main-1a2b.js'), 'export {};');
await writeFile(join(webRoot, 'icon.svg'), '<svg xmlns="http://www.w3.org/2000/svg"/>');

const hub = await startTestApi(afterAll, { webRoot });
const admin = await hub.signIn();

const json = { 'content-type': 'application/json' };

test.each<[string, string | Buffer, number]>([
  ['no JSON', '{"name":', 400],
  ['an empty body', '', 400],
  ['a list', '[]', 400],
  ['null', 'null', 400],
  ['a text', '"x"', 400],
  ['an unknown field', '{"name":"x","owner":"me"}', 400],
  ['a name of another type', '{"name":7}', 400],
  ['a name that is a list', '{"name":["x"]}', 400],
  ['an empty name', '{"name":""}', 400],
  ['a name too long', JSON.stringify({ name: 'x'.repeat(101) }), 400],
  ['a name with line breaks', '{"name":"a\\r\\nSet-Cookie: x=1"}', 400],
  ['a name with ESC', '{"name":"a\\u001b[31m"}', 400],
  ['a blank name', '{"name":" \\u00a0 "}', 400],
  ['a name that turns the direction of writing', '{"name":"web\\u202e1"}', 400],
  ['a name with NUL', '{"name":"a\\u0000"}', 400],
  ['half of a surrogate pair', '{"name":"a\\ud800"}', 400],
  ['__proto__', '{"name":"x","__proto__":{"admin":true}}', 400],
  ['__proto__ in escapes', '{"name":"x","\\u005f_proto__":{"admin":true}}', 400],
  ['constructor', '{"name":"x","constructor":{"prototype":{"admin":true}}}', 400],
  ['nesting of 17', `{"name":${'['.repeat(16)}${']'.repeat(16)}}`, 400],
  ['nesting of 50,000', '['.repeat(50_000), 400],
  ['nesting hidden behind a quote', `{"name":"\\"","x":${'['.repeat(1000)}`, 400],
  ['a number beyond all', '{"name":"x","group":1e400}', 400],
  ['a group that is no id', '{"name":"x","group":"\' or 1=1 --"}', 400],
  ['a group that is not there', '{"name":"x","group":"01890000-0000-7000-8000-000000000000"}', 404],
  ['10,000 keys', JSON.stringify(Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`k${i}`, 1]))), 400],
  ['101 KB', JSON.stringify({ name: 'x'.repeat(101 * 1024) }), 413],
  ['bad UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]), 400],
])('refused with a reason: %s', async (_, raw, status) => {
  const answer = await admin.post('/hosts', undefined, { raw, headers: json });
  expect(answer.status).toBe(status);
  expect(answer.headers.get('content-type')).toContain('application/problem+json');
  expect(answer.body).toEqual({
    type: 'about:blank',
    title: expect.any(String),
    status,
    code: expect.stringMatching(/^[a-z_]+$/),
    detail: expect.any(String),
    request: answer.headers.get('x-request-id'),
  });
  expect(answer.text).not.toMatch(/node_modules|at \w+ \(|postgres/);
  expect(Object.hasOwn(Object.prototype, 'admin')).toBe(false);
});

test('the detail names the field', async () => {
  const detail = async (answer: Promise<{ body: { detail: string } }>) => (await answer).body.detail;
  expect(await detail(admin.post('/hosts', { name: 'x', owner: 'me' }))).toBe('owner: unknown; leave it out (body).');
  expect(await detail(admin.post('/hosts', {}))).toBe('name: missing (body).');
  expect(await detail(admin.post('/hosts', { name: ' ' }))).toBe('name: send one line with visible text, without control characters.');
  expect(await detail(admin.get('/hosts?limit=0'))).toBe('limit: must be >= 1.');
  expect(await detail(admin.get('/hosts?sort=name'))).toBe('sort: unknown; leave it out (querystring).');
  expect(await detail(admin.get('/hosts/x'))).toBe('id: send an id as the hub gave it, a UUID in lower case.');
});

test.each(['/hosts', '/groups', '/rooms'])('a cursor of %s that is no id is refused', async (list) => {
  for (const after of ['foo', '%00', '%C2%BE', '1', '01890000-0000-7000-8000-00000000000A'])
    expect((await admin.get(`${list}?after=${after}`)).status).toBe(400);
});

test.each([
  'text/plain',
  'application/x-www-form-urlencoded',
  'application/xml',
  'application/json-patch+json',
  'multipart/form-data; boundary=a',
])('a body as %s is refused', async (type) => {
  expect(await admin.post('/hosts', undefined, { raw: '{"name":"x"}', headers: { 'content-type': type } })).toMatchObject({
    status: 415,
    body: { code: 'unsupported_media_type' },
  });
});

test.each([
  'limit=1e9',
  'limit=-1',
  'limit=NaN',
  'limit=0',
  'limit=201',
  'limit=1.5',
  'limit=1&limit=2',
  'after=',
  'sort=name',
  'limit[]=1',
  '__proto__[x]=1',
])('the query %s is refused', async (query) => expect((await admin.get(`/hosts?${query}`)).status).toBe(400));

test.each([
  '/hosts/x',
  "/hosts/'%20or%201=1--",
  '/hosts/../hosts/x',
  '/hosts/%2e%2e%2fme',
  '/hosts/01890000-0000-7000-8000-00000000000A',
  '/hosts/%00',
  '/hosts/%ff',
])('the path %s finds nothing', async (path) => expect([400, 404]).toContain((await admin.get(path)).status));

test('other methods and spellings of a path meet the same rules', async () => {
  const nobody = hub.browser();
  expect((await nobody.ask('HEAD', '/api/v1/hosts')).status).toBe(401);
  for (const method of ['OPTIONS', 'PROPFIND', 'PUT']) expect((await nobody.ask(method, '/api/v1/hosts')).status).toBe(405);
  for (const path of ['/api/v1/hosts/', '/api/v1//hosts', '/API/v1/hosts', '/api/v1/%68osts/%2e', '/api/v1/hosts%2f']) {
    const answer = await nobody.ask('GET', path);
    expect([400, 401, 404]).toContain(answer.status);
    expect(answer.text).not.toContain('items');
  }
  const answer = await nobody.post('/me', undefined, { headers: { 'x-http-method-override': 'GET' } });
  expect(answer).toMatchObject({ status: 405, body: { code: 'method_not_allowed', detail: 'Use GET or HEAD or PATCH.' } });
  expect(answer.headers.get('allow')).toBe('GET, HEAD, PATCH');
  expect((await nobody.put('/hosts/x/y/z', {})).status).toBe(404);
});

test('every answer carries the security headers', async () => {
  for (const path of ['/api/v1/time', '/api/v1/hosts', '/api/v1/nothing', '/', '/icon.svg', '/openapi.json', '/docs/']) {
    const { headers } = await admin.ask('GET', path);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('referrer-policy')).toBe('no-referrer');
    expect(headers.get('cross-origin-opener-policy')).toBe('same-origin');
    expect(headers.get('x-frame-options')).toBe('DENY');
    expect(headers.get('content-security-policy')).toMatch(/frame-ancestors 'none'|default-src/);
    expect(headers.get('access-control-allow-origin')).toBeNull();
    expect(headers.get('server')).toBeNull();
    expect(headers.get('strict-transport-security')).toBeNull();
  }
});

test('the page has a nonce of its own each time, and a policy that knows it', async () => {
  const nonces = new Set<string>();
  for (const path of ['/', '/index.html', '/hosts/01890000-0000-7000-8000-000000000000', '/sign-in']) {
    const { status, headers, text } = await hub.browser().ask('GET', path);
    expect(status).toBe(200);
    expect(headers.get('content-type')).toContain('text/html');
    expect(headers.get('cache-control')).toBe('no-cache');
    const nonce = /nonce="([\w-]{22})"/.exec(text)?.[1] ?? 'none';
    const policy = headers.get('content-security-policy') ?? '';
    expect(policy).toContain(`style-src 'self' 'nonce-${nonce}'`);
    expect(policy).toContain("script-src 'self';");
    expect(policy).toContain("connect-src 'self' ws://localhost:8080;");
    expect(policy).not.toContain('unsafe');
    nonces.add(nonce);
  }
  expect(nonces.size).toBe(4);
});

test('files are cached by their names; what is missing is missing', async () => {
  const asset = await hub.browser().ask('GET', '/assets/main-1a2b.js');
  expect([asset.status, asset.headers.get('cache-control')]).toEqual([200, 'public, max-age=31536000, immutable']);
  const icon = await hub.browser().ask('GET', '/icon.svg');
  expect([icon.status, icon.headers.get('cache-control')]).toEqual([200, 'no-cache']);
  for (const path of ['/assets/other.js', '/main.js.map', '/api/v1/nothing', '/api/v2/hosts', '/.env', '/assets/'])
    expect((await hub.browser().ask('GET', path)).status).toBeGreaterThanOrEqual(400);
  expect((await hub.browser().ask('GET', '/..%2f..%2f..%2f..%2fetc%2fpasswd')).text).not.toContain('root:');
  expect((await hub.browser().ask('POST', '/')).status).toBe(404);
});

test('the agent is handed out', async () => {
  const script = await hub.browser().ask('GET', '/agent.sh');
  expect(script.status).toBe(200);
  expect(script.text).toContain(hub.publicUrl);
  const packed = await hub.browser().ask('GET', '/agent.tgz');
  expect([packed.status, packed.headers.get('content-type')]).toEqual([200, 'application/gzip']);
});

test('the interface describes itself', async () => {
  const { body } = await hub.browser().ask('GET', '/openapi.json');
  expect(body.openapi).toBe('3.1.0');
  expect(Object.keys(body.paths)).toEqual(
    expect.arrayContaining(['/api/v1/auth/login', '/api/v1/hosts/{id}/samples', '/api/v1/rooms/{id}/messages', '/api/v1/time']),
  );
  expect(body.paths['/api/v1/auth/register']).toBeUndefined();
  const samples = body.paths['/api/v1/hosts/{id}/samples'].get.responses;
  expect(Object.keys(samples['200'].content)).toEqual(['application/x-ndjson', 'text/csv']);
  for (const status of ['4XX', '5XX']) expect(Object.keys(samples[status].content)).toEqual(['application/problem+json']);
  const docs = await hub.browser().ask('GET', '/docs/');
  expect(docs.status).toBe(200);
  expect(docs.headers.get('content-security-policy')).not.toContain('unsafe-eval');
});

test('time and version are open; time is never cached', async () => {
  const { body, headers } = await hub.browser().get('/time');
  expect(Math.abs(body.time - Date.now())).toBeLessThan(60_000);
  expect(Number.isInteger(body.time)).toBe(true);
  expect(headers.get('cache-control')).toBe('no-store');
  expect((await hub.browser().get('/version')).body).toEqual({ name: 'hostroom', version: '0.0.0' });
});

test('while the database is away the answer says so, and time is still told', async () => {
  const alone = await startTestApi(onTestFinished);
  const browser = await alone.signIn();
  await alone.sql.end();
  for (const answer of [
    await browser.get('/hosts'),
    await browser.post('/auth/refresh'),
    await browser.post('/auth/login', { login: 'a@example.com', password: 'x' }),
  ]) {
    expect(answer).toMatchObject({ status: 503, body: { code: 'unavailable' } });
    expect(answer.headers.get('retry-after')).toBe('2');
  }
  expect(browser.cookies.size).toBe(1);
  expect((await browser.get('/time')).status).toBe(200);
  expect((await browser.ask('GET', '/')).status).toBe(200);
});

test('each request is counted by its route, never by its path', async () => {
  await admin.get('/hosts/01890000-0000-7000-8000-000000000000');
  const page = await until(async () => {
    const text = (await Array.fromAsync(hub.metrics.page())).join('');
    return text.includes('route="/api/v1/hosts/:id",status="404"') ? text : undefined;
  });
  expect(page).not.toContain('01890000');
});

/** Sends bytes over a bare socket; gives back all that came until the end. */
function bare(text: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(hub.port, '127.0.0.1', () => socket.write(text));
    let received = '';
    socket.on('data', (chunk) => (received += String(chunk)));
    socket.on('close', () => resolve(received));
    // A server that closes while we still send resets the connection.
    socket.on('error', () => resolve(received));
    onTestFinished(() => void socket.destroy());
  });
}

test.each([
  ['64 KB of headers', `GET / HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(65_536)}\r\n\r\n`, /^$|^HTTP\/1\.1 431/],
  [
    'length and chunks at once',
    'POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    /^HTTP\/1\.1 400/,
  ],
  ['10 KB of headers', `GET / HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(10_000)}\r\n\r\n`, /^$|^HTTP\/1\.1 431/],
  ['no HTTP', 'hello\r\n\r\n', /^HTTP\/1\.1 400/],
  ['a folded header', 'GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\nConnection: close\r\n\r\n', /^HTTP\/1\.1 400/],
])('the server closes on %s', async (_, text, answer) => expect(await bare(text)).toMatch(answer));

test('what the server refuses unread is told as a problem too', async () => {
  const answer = await fetch(`${hub.url}/api/v1/hosts?limit=${'1'.repeat(10_000)}`);
  expect([answer.status, answer.headers.get('content-type')]).toEqual([431, 'application/problem+json']);
  expect(await answer.json()).toMatchObject({ status: 431, code: 'head_too_large' });
});

test('a request with 1,000 headers harms nobody', async () => {
  const headers = Array.from({ length: 1_000 }, (_, i) => `a${i}:b`).join('\r\n');
  expect(await bare(`GET /api/v1/time HTTP/1.1\r\nHost: x\r\n${headers}\r\nConnection: close\r\n\r\n`)).toMatch(/^HTTP\/1\.1 (200|431)/);
  expect((await hub.browser().get('/time')).status).toBe(200);
});
