/** `npm run conformance` as a foreign client suite meets it. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { resolve } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { apiKey } from '../../src/conformance/server.ts';
import { record, sdk, serve, type Loose } from '../support/protocol.ts';
import { until } from '../support/until.ts';

const root = resolve(import.meta.dirname, '../..');

async function api(
  url: string,
  path: string,
  body: unknown,
  headers: Record<string, string> = { 'x-api-key': apiKey },
): Promise<{ status: number; body: Loose }> {
  const response = await fetch(`${url}/api/${path}`, {
    method: 'POST',
    headers,
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

test.each(['SIGTERM', 'SIGINT'] as const)('starts on PORT, says where, and stops on %s with exit code 0', async (signal) => {
  const child = spawn(process.execPath, ['src/conformance/main.ts'], {
    cwd: root,
    env: { ...process.env, PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  const port = /:(\d+)\/connection\/websocket/.exec(line)?.[1];
  expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(200);
  const exited = once(child, 'exit');
  child.kill(signal);
  expect(await exited).toEqual([0, null]);
});

test('a PORT that is none is a clear error', async () => {
  const child = spawn(process.execPath, ['src/conformance/main.ts'], {
    cwd: root,
    env: { ...process.env, PORT: 'http' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const chunks: Buffer[] = [];
  child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk));
  const [code] = await once(child, 'close');
  expect([code, Buffer.concat(chunks).toString()]).toEqual([1, expect.stringContaining('PORT: "http" is not a port number') as string]);
});

test('the API publishes into channels and reads their history, whatever the content type', async () => {
  const server = await serve();
  const client = sdk(server);
  const subscription = client.newSubscription('recovery:1');
  const seen = record(subscription);
  subscription.subscribe();
  client.connect();
  await subscription.ready();
  for (const type of ['application/json', 'text/plain', 'application/x-www-form-urlencoded', ''])
    expect(
      await api(
        server.url,
        'publish',
        { channel: 'recovery:1', data: { type } },
        { 'x-api-key': apiKey, ...(type && { 'content-type': type }) },
      ),
    ).toMatchObject({ status: 200, body: { result: {} } });
  await until(() => seen.data().length === 4);
  await subscription.publish('from a client');
  const { body } = await api(server.url, 'history', { channel: 'recovery:1', limit: 2, reverse: true });
  expect(body.result).toMatchObject({
    offset: 5,
    publications: [
      { offset: 5, data: 'from a client', info: { user: '' } },
      { offset: 4, data: { type: '' } },
    ],
  });
  const { epoch } = body.result;
  expect(
    (await api(server.url, 'history', { channel: 'recovery:1', limit: -1, since: { offset: 3, epoch } })).body.result.publications,
  ).toHaveLength(2);
  expect((await api(server.url, 'history', { channel: 'recovery:1' })).body.result.publications).toEqual([]);
  expect(
    (await api(server.url, 'history', { channel: 'recovery:1', limit: 1, since: { offset: 1, epoch: 'x' } })).body.error,
  ).toMatchObject({ code: 112 });
});

test('the API refuses without its key, and without a channel', async () => {
  const server = await serve();
  expect((await api(server.url, 'publish', { channel: 'a', data: 1 }, {})).status).toBe(401);
  expect((await api(server.url, 'history', { channel: 'a' }, { 'x-api-key': 'other' })).status).toBe(401);
  for (const body of [{ data: 1 }, { channel: '', data: 1 }, { channel: 7, data: 1 }, { channel: 'a' }, 'nonsense', '[]'])
    expect((await api(server.url, 'publish', body)).status).toBe(400);
});

test('smallhistory keeps two publications', async () => {
  const server = await serve();
  const client = sdk(server);
  const subscription = client.newSubscription('smallhistory:1');
  const seen = record(subscription);
  subscription.subscribe();
  client.connect();
  await subscription.ready();
  await api(server.url, 'publish', { channel: 'smallhistory:1', data: 1 });
  await until(() => seen.data().length === 1);
  subscription.unsubscribe();
  for (const data of [2, 3, 4, 5]) await api(server.url, 'publish', { channel: 'smallhistory:1', data });
  subscription.subscribe();
  await subscription.ready();
  expect(seen.events.findLast(([name]) => name === 'subscribed')![1]).toMatchObject({ wasRecovering: true, recovered: false });
  expect((await subscription.history({ limit: 10 })).publications.map(({ data }) => data)).toEqual([4, 5]);
});
