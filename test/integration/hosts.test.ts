/** Hosts over REST: made, enrolled, renamed, deleted, listed, their samples streamed. */

import { generateKeyPairSync } from 'node:crypto';
import { afterAll, expect, test } from 'vitest';
import { newId } from '../../src/lib/id.ts';
import { startTestApi } from '../support/api.ts';
import { until } from '../support/until.ts';

const hub = await startTestApi(afterAll);
const admin = await hub.signIn();

const newKey = () => generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' });

test('a host is made, enrolled by its one token, renamed and deleted', async () => {
  const added = await admin.post('/hosts', { name: 'web-1' });
  expect(added).toMatchObject({ status: 201, body: { name: 'web-1' } });
  const { id, enrolment } = added.body;
  expect(enrolment.command).toBe(`curl -fsSL ${hub.publicUrl}/agent.sh | ENROLMENT_TOKEN=${enrolment.token} sh`);
  expect(enrolment.expiresAt - Date.now()).toBeGreaterThan(14 * 60_000);

  const listed = (await admin.get('/hosts')).body.items.find((host: { id: string }) => host.id === id);
  expect(listed).toMatchObject({
    id,
    name: 'web-1',
    group: { name: 'hosts' },
    status: 'never',
    lastSampleAt: null,
    onlineSince: null,
    recentCpu: null,
    role: 'owner',
  });

  const agent = hub.browser();
  const publicKey = newKey();
  const request = { token: enrolment.token, publicKey, name: 'web-1.example', platform: { os: 'linux', arch: 'x64' } };
  const enrolled = await agent.post('/agents/enrol', request);
  expect(enrolled).toMatchObject({ status: 200, body: { hostId: id, room: `host:${id}`, hub: hub.hubId } });
  expect(Math.abs(enrolled.body.time - Date.now())).toBeLessThan(60_000);
  // A lost answer: the same token and key give the same host.
  expect((await agent.post('/agents/enrol', request)).body.hostId).toBe(id);
  // Another key cannot use the token.
  expect(await agent.post('/agents/enrol', { ...request, publicKey: newKey() })).toMatchObject({
    status: 410,
    body: { code: 'token_used' },
  });
  expect(await agent.post('/agents/enrol', { ...request, token: 'x'.repeat(43) })).toMatchObject({
    status: 410,
    body: { code: 'token_used' },
  });

  const again = await admin.post(`/hosts/${id}/enrolment`);
  expect(again.status).toBe(201);
  expect((await agent.post('/agents/enrol', { ...request, token: again.body.token, publicKey: newKey() })).body.hostId).toBe(id);
  expect(hub.told.replaced).toEqual([id]);

  expect((await admin.patch(`/hosts/${id}`, { name: 'web-2' })).body).toMatchObject({
    name: 'web-2',
    platform: { os: 'linux', arch: 'x64' },
  });
  expect((await admin.get(`/rooms/${id}`)).body).toMatchObject({ id, name: 'web-2', host: id });
  const events = (await admin.get(`/rooms/${id}/messages`)).body.items;
  expect(events.map((event: { what: string }) => event.what)).toEqual(['host_added', 'host_renamed']);

  expect((await admin.delete(`/hosts/${id}`)).status).toBe(204);
  expect(hub.told.deleted).toEqual([id]);
  expect((await admin.get(`/hosts/${id}`)).status).toBe(404);
  expect((await admin.get(`/rooms/${id}`)).status).toBe(404);
  expect((await agent.post('/agents/enrol', request)).status).toBe(410);
});

test('a retry with the same Idempotency-Key makes nothing twice', async () => {
  const make = (key: string, name = 'once', browser = admin) => browser.post('/hosts', { name }, { headers: { 'idempotency-key': key } });
  const together = await Promise.all([make('k1'), make('k1'), make('k1')]);
  const later = await make('k1');
  const [first] = together;
  for (const answer of [...together, later]) expect(answer).toMatchObject({ status: 201, body: first.body });
  expect(later.headers.get('content-type')).toContain('application/json');
  expect(later.headers.get('idempotency-replayed')).toBe('true');
  const named = (await admin.get('/hosts?limit=200')).body.items.filter((host: { name: string }) => host.name === 'once');
  expect(named).toHaveLength(1);

  expect(await make('k1', 'another')).toMatchObject({ status: 409, body: { code: 'conflict' } });
  expect((await make('k2')).body.id).not.toBe(first.body.id);
  expect((await make('k1', 'once', await hub.person('operator'))).body.id).not.toBe(first.body.id);
  expect((await make('x'.repeat(65))).status).toBe(400);
  // What was refused is tried again.
  expect((await make('k3', '')).status).toBe(400);
  expect((await make('k3')).status).toBe(201);
  const viewer = await hub.person('viewer');
  expect((await make('k4', 'once', viewer)).status).toBe(403);
  expect((await make('k4', 'once', viewer)).status).toBe(403);
  // The client was gone before the answer.
  const leaving = new AbortController();
  const aborted = fetch(`${hub.url}/api/v1/hosts`, {
    method: 'POST',
    headers: { authorization: `Bearer ${admin.token}`, 'content-type': 'application/json', 'idempotency-key': 'k5', origin: hub.publicUrl },
    body: '{"name":"lost answer"}',
    signal: leaving.signal,
  }).catch(() => undefined);
  const made = async () => (await hub.sql`select id from host where name = 'lost answer'`).map((row) => row['id']);
  await until(async () => (await made()).length === 1);
  leaving.abort();
  await aborted;
  expect((await make('k5', 'lost answer')).body.id).toBe((await made())[0]);
  expect(await made()).toHaveLength(1);
  const gone = () => admin.delete(`/hosts/${first.body.id}`, { headers: { 'idempotency-key': 'd' } });
  expect([(await gone()).status, (await gone()).status]).toEqual([204, 204]);
  expect((await admin.delete(`/hosts/${first.body.id}`)).status).toBe(404);
});

test('guessing enrolment tokens is stopped, enrolling with good ones is not', async () => {
  const guesser = hub.browser('10.8.0.1');
  const publicKey = newKey();
  const guess = (i: number) => guesser.post('/agents/enrol', { token: `guess-${i}`.padEnd(43, 'x'), publicKey });
  // All at once, so that the limit does not refill meanwhile.
  const statuses = (await Promise.all(Array.from({ length: 100 }, (_, i) => guess(i)))).map((answer) => answer.status);
  expect(new Set(statuses)).toEqual(new Set([410, 429]));
  expect((await hub.browser('10.8.0.2').post('/agents/enrol', { token: 'x'.repeat(43), publicKey: newKey() })).status).toBe(410);
});

test.each([
  ['no key', undefined],
  ['a private key', { ...generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' }) }],
  ['an RSA key', generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' })],
  ['an X25519 key', { ...newKey(), crv: 'X25519' }],
  ['a key cut short', { kty: 'OKP', crv: 'Ed25519', x: 'AAAA' }],
])('enrolling with %s is refused', async (_, publicKey) => {
  expect((await hub.browser().post('/agents/enrol', { token: 'x'.repeat(43), publicKey })).status).toBe(400);
});

test('hosts are paged by cursor', async () => {
  for (let i = 0; i < 3; i++) await admin.post('/hosts', { name: `page-${i}` });
  const seen: string[] = [];
  for (let after: string | null = ''; after !== null;) {
    const page: { body: { items: { id: string }[]; next: string | null } } = await admin.get(
      `/hosts?limit=2${after ? `&after=${after}` : ''}`,
    );
    seen.push(...page.body.items.map((host) => host.id));
    after = page.body.next;
  }
  const all = (await admin.get('/hosts')).body.items.map((host: { id: string }) => host.id);
  expect(seen).toEqual(all);
  expect(new Set(seen).size).toBe(seen.length);
});

test('samples stream as NDJSON and as CSV, from inclusive, to exclusive', async () => {
  const { id } = (await admin.post('/hosts', { name: 'streamed' })).body;
  const boot = newId();
  const start = 1_700_000_000_000;
  const count = 1_234;
  const frames = Array.from({ length: count }, (_, i) =>
    JSON.stringify({
      kind: 'sample',
      at: start + i * 1000,
      seq: i + 1,
      boot,
      metrics: { 'cpu.busy': i / count, ...(i === 7 ? { '=cmd': 1, 'a"b,': 2, constructor: 3 } : {}) },
    }),
  );
  await hub.sql`
    insert into sample_hot (host, kind, at, boot, seq, frame)
    select ${id}, 'sample', to_timestamp((${start}::float8 + (n - 1) * 1000) / 1000), ${boot}, n, convert_to(frame, 'UTF8')
    from unnest(${hub.sql.array(frames)}::text[]) with ordinality as given (frame, n)`;

  const all = await admin.get(`/hosts/${id}/samples?from=${start}&to=${start + count * 1000}`);
  expect(all.headers.get('content-type')).toContain('application/x-ndjson');
  expect(all.text).toBe(frames.map((frame) => `${frame}\n`).join(''));
  const some = await admin.get(`/hosts/${id}/samples?from=${start + 1000}&to=${start + 3000}`);
  expect(some.text.trimEnd().split('\n')).toEqual(frames.slice(1, 3));
  expect((await admin.get(`/hosts/${id}/samples?from=${start}`)).text.split('\n')).toHaveLength(count + 1);
  expect((await admin.get(`/hosts/${id}/samples?from=0&to=5`)).text).toBe('');
  expect(await admin.get(`/hosts/${id}/samples?from=${Date.now() + 3_600_000}`)).toMatchObject({ status: 200, text: '' });

  const csv = await admin.get(`/hosts/${id}/samples?from=${start}&to=${start + 8000}`, { headers: { accept: 'text/csv' } });
  const lines = csv.text.trimEnd().split('\r\n');
  expect(lines[0]).toBe(`at,boot,seq,'=cmd,"a""b,",constructor,cpu.busy`);
  expect(lines[1]).toBe(`${start},${boot},1,,,,0`);
  expect(lines[8]).toBe(`${start + 7000},${boot},8,1,2,3,${7 / count}`);

  const head = await admin.ask('HEAD', `/api/v1/hosts/${id}/samples?from=0`);
  expect(head).toMatchObject({ status: 200, text: '' });
  expect(head.headers.get('content-type')).toContain('application/x-ndjson');
  expect((await admin.get(`/hosts/${id}/samples?from=5&to=1`)).status).toBe(400);
  expect((await admin.get(`/hosts/${id}/samples`)).status).toBe(400);
  expect((await admin.get(`/hosts/${newId()}/samples?from=0`)).status).toBe(404);
});

test('a table of more metrics than any program reads is refused, not built', async () => {
  const { id } = (await admin.post('/hosts', { name: 'inventive' })).body;
  await hub.sql`
    insert into sample_hot (host, kind, at, boot, seq, frame)
    select ${id}, 'sample', to_timestamp(n), ${newId()}, n, convert_to(json_build_object('kind', 'sample', 'metrics', (
      select json_object_agg('m' || n || '.' || m, 1) from generate_series(1, 500) m))::text, 'UTF8')
    from generate_series(1, 30) n`;
  const csv = await admin.get(`/hosts/${id}/samples?from=0`, { headers: { accept: 'text/csv' } });
  expect(csv).toMatchObject({ status: 400, body: { code: 'invalid', detail: expect.stringContaining('NDJSON') } });
  expect(csv.headers.get('content-type')).toContain('application/problem+json');
  expect((await admin.get(`/hosts/${id}/samples?from=0`)).text.trimEnd().split('\n')).toHaveLength(30);
});

test('a reader who leaves ends the reading', async () => {
  const { id } = (await admin.post('/hosts', { name: 'left' })).body;
  const boot = newId();
  await hub.sql`
    insert into sample_hot (host, kind, at, boot, seq, frame)
    select ${id}, 'sample', to_timestamp(n), ${boot}, n, convert_to('{"kind":"sample","metrics":{"x":"' || repeat('y', 2000) || '"}}', 'UTF8')
    from generate_series(1, 20000) n`;
  const leaving = new AbortController();
  const response = await fetch(`${hub.url}/api/v1/hosts/${id}/samples?from=0`, {
    headers: { authorization: `Bearer ${admin.token}` },
    signal: leaving.signal,
  });
  await response.body?.getReader().read();
  leaving.abort();
  // Nothing is left behind: the hub still answers and closes without waiting (in afterAll).
  expect((await admin.get('/hosts')).status).toBe(200);
});

test('a token of a group lets as many hosts in as it says, and nobody once it was ended', async () => {
  const group = (await admin.get('/groups')).body.items[0].id as string;
  const path = `/groups/${group}/enrolment-tokens`;
  const expiresAt = Date.now() + 3_600_000;
  for (const wrong of [
    { uses: 0, expiresAt },
    { uses: 2, expiresAt: Date.now() - 1 },
    { uses: 2, expiresAt: Date.now() + 400 * 86_400_000 },
    { uses: 2 },
  ])
    expect((await admin.post(path, wrong)).status).toBe(400);
  const made = await admin.post(path, { uses: 2, expiresAt });
  expect(made).toMatchObject({ status: 201, body: { uses: 2, command: expect.stringContaining(made.body.token) } });
  expect(Math.abs(made.body.expiresAt - expiresAt)).toBeLessThan(5_000);
  const agent = hub.browser();
  const enrol = (name: string, publicKey = newKey()) => agent.post('/agents/enrol', { token: made.body.token, publicKey, name });
  const key = newKey();
  const first = await enrol('node-1', key);
  const second = await enrol('node-2');
  expect([first.status, second.status]).toEqual([200, 200]);
  expect(second.body.hostId).not.toBe(first.body.hostId);
  expect((await enrol('node-3')).body.code).toBe('token_used');
  // A restart that did not hear the answer gets the same host, not another use.
  expect((await enrol('node-1', key)).body.hostId).toBe(first.body.hostId);
  expect((await admin.get(path)).body).toEqual({ items: [], next: null });

  const other = await admin.post(path, { uses: 50, expiresAt });
  const listed = (await admin.get(path)).body.items;
  expect(listed).toEqual([{ id: other.body.id, usesLeft: 50, expiresAt: other.body.expiresAt, createdBy: expect.any(String) }]);
  expect(JSON.stringify(listed)).not.toContain(other.body.token);
  expect((await admin.delete(`${path}/${other.body.id}`)).status).toBe(204);
  expect((await admin.delete(`${path}/${other.body.id}`)).status).toBe(404);
  expect((await agent.post('/agents/enrol', { token: other.body.token, publicKey: newKey() })).body.code).toBe('token_used');
  // That of one host is none of the group's: it cannot be ended here.
  await admin.post(`/hosts/${first.body.hostId}/enrolment`);
  expect((await admin.get(path)).body.items).toEqual([]);
});
