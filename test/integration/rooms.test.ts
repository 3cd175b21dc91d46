/** Conversations over REST. */

import { afterAll, expect, test } from 'vitest';
import { startTestApi } from '../support/api.ts';

const hub = await startTestApi(afterAll);
const admin = await hub.signIn();
const room = (await admin.post('/hosts', { name: 'talked about' })).body.id as string;
const member = await hub.person('member');

test('a message is posted once, however often it is sent', async () => {
  const first = await member.post(`/rooms/${room}/messages`, {
    text: 'restarted **nginx**',
    at: 1_700_000_000_000,
    until: 1_700_000_060_000,
    key: 'k1',
  });
  expect(first).toMatchObject({
    status: 201,
    body: {
      kind: 'message',
      room,
      text: 'restarted **nginx**',
      at: 1_700_000_000_000,
      until: 1_700_000_060_000,
      key: 'k1',
      author: { id: member.id, name: 'member' },
    },
  });
  expect(await member.post(`/rooms/${room}/messages`, { text: 'restarted **nginx**', key: 'k1' })).toMatchObject({
    status: 200,
    body: first.body,
  });
  expect(await member.post(`/rooms/${room}/messages`, { text: 'x' }, { headers: { 'idempotency-key': 'k1' } })).toMatchObject({
    status: 200,
    body: { id: first.body.id },
  });
  expect((await member.post(`/rooms/${room}/messages`, { text: 'x' }, { headers: { 'idempotency-key': 'k'.repeat(65) } })).status).toBe(
    400,
  );
  // Keys belong to their author.
  expect((await admin.post(`/rooms/${room}/messages`, { text: 'x', key: 'k1' })).status).toBe(201);
});

test('the author changes a message, an owner may only remove it', async () => {
  const { id } = (await member.post(`/rooms/${room}/messages`, { text: 'one' })).body;
  expect((await member.patch(`/rooms/${room}/messages/${id}`, { text: 'two' })).body).toMatchObject({
    id,
    text: 'two',
    editedAt: expect.any(Number),
  });
  expect((await admin.patch(`/rooms/${room}/messages/${id}`, { text: 'three' })).status).toBe(403);
  expect((await admin.delete(`/rooms/${room}/messages/${id}`)).status).toBe(204);
  expect((await member.patch(`/rooms/${room}/messages/${id}`, { text: 'four' })).status).toBe(404);
});

test('the timeline is read by cursors without a hole', async () => {
  const texts = Array.from({ length: 25 }, (_, i) => `page ${i}`);
  for (const text of texts) await member.post(`/rooms/${room}/messages`, { text });
  const seen: string[] = [];
  for (let before: string | null = ''; before !== null;) {
    const page: { body: { items: { text?: string; id: string }[]; next: string | null } } = await admin.get(
      `/rooms/${room}/messages?limit=7${before ? `&before=${before}` : ''}`,
    );
    seen.unshift(...page.body.items.map((item) => item.text ?? ''));
    before = page.body.next;
  }
  expect(seen.slice(-25)).toEqual(texts);
  const newest = (await admin.get(`/rooms/${room}/messages?limit=3`)).body.items;
  expect((await admin.get(`/rooms/${room}/messages?after=${newest[0].id}`)).body.items.map((item: { id: string }) => item.id)).toEqual([
    newest[1].id,
    newest[2].id,
  ]);
  expect((await admin.get(`/rooms/${room}/messages?around=${newest[1].id}&limit=3`)).body.items).toEqual(newest);
  for (const query of ['before=x', `before=${newest[0].id}&after=${newest[0].id}`, `after=${room}`, 'limit=0', 'limit=1000'])
    expect((await admin.get(`/rooms/${room}/messages?${query}`)).status).toBe(400);
});

test.each([
  ['no text', {}],
  ['an empty text', { text: '' }],
  ['a text too long', { text: 'x'.repeat(16_001) }],
  ['a text with NUL', { text: 'a\0' }],
  ['a negative time', { text: 'x', at: -1 }],
  ['a time with a fraction', { text: 'x', at: 1.5 }],
  ['an end before the beginning', { text: 'x', at: 5, until: 1 }],
  ['a key too long', { text: 'x', key: 'k'.repeat(65) }],
  ['a thread that is no id', { text: 'x', thread: 'y' }],
  ['a foreign author', { text: 'x', author: { id: room, name: 'somebody' } }],
])('refused: %s', async (_, body) => {
  expect(await member.post(`/rooms/${room}/messages`, body)).toMatchObject({ status: 400, body: { code: 'invalid' } });
});

test('members are listed with their roles', async () => {
  const { items } = (await member.get(`/rooms/${room}/members`)).body;
  expect(items).toEqual(
    expect.arrayContaining([
      { user: { id: admin.id, name: 'admin' }, role: 'owner', present: false },
      { user: { id: member.id, name: 'member' }, role: 'member', present: false },
    ]),
  );
});
