/** Stored samples over REST, out of chunks and rows, whole and damaged. */

import { get } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { afterAll, expect, test } from 'vitest';
import type { ChunkSample } from '../../src/chunks/samples.ts';
import { insertSamples } from '../../src/data/samples.ts';
import { newId } from '../../src/lib/id.ts';
import { startTestApi } from '../support/api.ts';
import { openSince, processesRow, sealerOf } from '../support/sealing.ts';
import { setListed, storeHot, storeSealed } from '../support/storedHistory.ts';

const hub = await startTestApi(afterAll);
const { sql, names } = hub;
const admin = await hub.signIn();
const minuteMs = 60_000;
const start = Math.floor(Date.now() / minuteMs) * minuteMs - 100 * minuteMs;
const boot = newId();
const samples = Array.from({ length: 95 * 60 }, (_, second): ChunkSample => {
  const metrics: Record<string, number> = { 'cpu.busy': (second % 1_000) / 1_000, own: second / 7 };
  if (second % 10 === 0) metrics['fs./.used'] = 4_096 * second;
  return { at: start + second * 1_000, seq: second + 1, boot, metrics };
});
const asSent = (sample: ChunkSample): object => ({ kind: 'sample', ...sample });

/** Seventy minutes sealed, one of them with late samples; the rest are rows. */
async function addHost(): Promise<string> {
  const { id } = (await admin.post('/hosts', { name: 'exported' })).body;
  const sealedUntil = start + 70 * minuteMs;
  const isLate = ({ at }: ChunkSample): boolean => at >= start + 3 * minuteMs && at < start + 3 * minuteMs + 20_000;
  const sealed = samples.filter((one) => one.at < sealedUntil);
  await storeSealed(
    sql,
    names,
    id,
    sealed.filter((one) => !isLate(one)),
  );
  await storeHot(sql, id, [...sealed.filter(isLate), ...samples.filter((one) => one.at >= sealedUntil)]);
  await sql`insert into seal_work (host, minute) values (${id}, to_timestamp(${start + 3 * minuteMs}::float8 / 1000))`;
  await setListed(sql, sealedUntil);
  return id;
}

/** With what comes after the body. */
function ask(path: string): Promise<{ headers: IncomingMessage['headers']; body: string; trailers: IncomingMessage['trailers'] }> {
  return new Promise((resolve, reject) => {
    get(`${hub.url}/api/v1${path}`, { headers: { authorization: `Bearer ${admin.token}` } }, (response) => {
      text(response).then((body) => resolve({ headers: response.headers, body, trailers: response.trailers }), reject);
    }).on('error', reject);
  });
}

const parsed = (body: string): unknown[] =>
  body
    .trimEnd()
    .split('\n')
    .map((one) => JSON.parse(one) as unknown);

test('chunks and rows come as one, each sample once, with their extent ahead', async () => {
  const host = await addHost();
  const { headers, body, trailers } = await ask(`/hosts/${host}/samples?from=${start}`);
  expect(parsed(body)).toEqual(samples.map(asSent));
  expect(headers['hostroom-range']).toMatch(
    new RegExp(`^from=${start}; to=\\d+; first=${start}; last=${start + 95 * minuteMs - 1_000}; samples=${samples.length - 20}$`),
  );
  expect(trailers).toEqual({ 'hostroom-faults': '0' });
  const some = await ask(`/hosts/${host}/samples?from=${start + 175_500}&to=${start + 205_000}`);
  expect(parsed(some.body)).toEqual(samples.slice(176, 205).map(asSent));
  const head = await admin.ask('HEAD', `/api/v1/hosts/${host}/samples?from=${start}`);
  expect(head).toMatchObject({ status: 200, text: '' });
  expect(head.headers.get('hostroom-range')).toContain(`first=${start}`);
  const none = await ask(`/hosts/${host}/samples?from=0&to=5`);
  expect(none).toMatchObject({ body: '', headers: { 'hostroom-range': 'from=0; to=5; samples=0' } });
  const csv = await admin.get(`/hosts/${host}/samples?from=${start}&to=${start + 10_000}`, { headers: { accept: 'text/csv' } });
  expect(csv.text.split('\r\n').slice(0, 3)).toEqual([
    'at,boot,seq,cpu.busy,fs./.used,own',
    `${start},${boot},1,0,0,0`,
    `${start + 1_000},${boot},2,0.001,,${1 / 7}`,
  ]);
});

test('a damaged minute is told of, and everything else still comes', async () => {
  const host = await addHost();
  const minute = start + 40 * minuteMs;
  await sql`update sample_chunk set data = '\\xff' where host = ${host} and minute = to_timestamp(${minute}::float8 / 1000)`;
  const { body, trailers } = await ask(`/hosts/${host}/samples?from=${start}`);
  const lines = parsed(body) as { kind: string; at: number }[];
  expect(lines.filter(({ kind }) => kind === 'fault')).toEqual([{ kind: 'fault', code: 'corrupt', from: minute, to: minute + minuteMs }]);
  const good = samples.filter(({ at }) => at < minute || at >= minute + minuteMs);
  expect(lines.filter(({ kind }) => kind === 'sample').map(({ at }) => at)).toEqual(good.map(({ at }) => at));
  expect(trailers).toEqual({ 'hostroom-faults': '1' });
  expect(hub.corrupt).toEqual([expect.stringContaining(`raw ${minute}`)]);
  const csv = await admin.get(`/hosts/${host}/samples?from=${start}`, { headers: { accept: 'text/csv' } });
  expect(csv.text.trimEnd().split('\r\n')).toHaveLength(1 + good.length);
  expect(hub.corrupt).toHaveLength(2);
});

test('process lists come in the same way, sealed or not', async () => {
  const { id } = (await admin.post('/hosts', { name: 'busy' })).body;
  const at = (index: number): number => start + index * 10_000;
  const rows = Array.from({ length: 30 }, (_, index) => processesRow(id, at(index)));
  await openSince(sql, start);
  await insertSamples(sql, rows.slice(0, 20));
  await sealerOf(sql, { names }).seal();
  await sql`delete from sample_hot where host = ${id}`;
  await insertSamples(sql, rows.slice(18));
  const path = `/hosts/${id}/samples?kind=processes&from=${at(5)}&to=${at(29)}`;
  const { headers, body } = await ask(path);
  expect(headers['hostroom-range']).toMatch(/; lists=\d+$/);
  expect(parsed(body)).toEqual(rows.slice(5, 29).map(({ frame }) => JSON.parse(frame)));
  expect((await ask(`/hosts/${id}/samples?from=${start}`)).body).toBe('');
  expect((await admin.get(path, { headers: { accept: 'text/csv' } })).status).toBe(400);
  expect((await admin.get(`/hosts/${id}/samples?kind=messages&from=0`)).status).toBe(400);
});
