/** Passwords, permissions, limits, the secret, the cookie. */

import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createLoginLimits, networkOf } from '../../src/auth/loginLimits.ts';
import { createPasswords } from '../../src/auth/passwords.ts';
import { may, mayInRoom } from '../../src/auth/permissions.ts';
import type { Action } from '../../src/auth/permissions.ts';
import { refreshCookie } from '../../src/auth/refreshCookie.ts';
import { loadSecret } from '../../src/auth/secretKey.ts';
import { until } from '../support/until.ts';
import { AppError } from '../../src/errors.ts';
import { createRateLimit } from '../../src/lib/rateLimit.ts';
import { roles } from '../../src/protocol/rest.ts';

test('passwords are Argon2id in PHC form, salted, verified', async () => {
  const passwords = createPasswords();
  const stored = await passwords.hash('pässword one');
  expect(stored).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
  expect(await passwords.hash('pässword one')).not.toBe(stored);
  expect(await passwords.verify(stored, 'pässword one')).toBe(true);
  expect(await passwords.verify(stored, 'pa\u0308ssword one')).toBe(true);
  expect(await passwords.verify(stored, 'password one')).toBe(false);
  expect(await passwords.verify(null, 'pässword one')).toBe(false);
  expect(await passwords.verify('$argon2id$broken', 'x')).toBe(false);
});

test('a flood of sign-ins is refused rather than queued without end', async () => {
  const passwords = createPasswords();
  const all = await Promise.allSettled(Array.from({ length: 110 }, () => passwords.verify(null, 'x')));
  const refused = all.filter((one) => one.status === 'rejected');
  expect(refused).toHaveLength(8);
  expect((refused[0] as PromiseRejectedResult).reason).toMatchObject({ code: 'too_many_requests' });
  expect(await passwords.verify(null, 'x')).toBe(false);
});

test('the table of permissions', () => {
  const allowed = (action: Action) => roles.filter((role) => may(action, role));
  expect(allowed('host.read')).toEqual(['viewer', 'member', 'operator', 'owner']);
  expect(allowed('message.post')).toEqual(['member', 'operator', 'owner']);
  expect(allowed('host.add')).toEqual(['operator', 'owner']);
  expect(allowed('group.manageMembers')).toEqual(['owner']);
  expect(may('host.read', undefined)).toBe(false);

  expect(mayInRoom('publish', 'host', { role: 'owner' })).toBe(false);
  expect(mayInRoom('publish', 'host', { role: undefined, self: true })).toBe(true);
  expect(mayInRoom('read', 'host', { role: undefined, self: true })).toBe(false);
  expect(mayInRoom('read', 'host', { role: 'viewer' })).toBe(true);
  expect(mayInRoom('publish', 'room', { role: 'viewer' })).toBe(false);
  expect(mayInRoom('publish', 'room', { role: 'member' })).toBe(true);
  expect(mayInRoom('publish', 'fleet', { role: 'owner', self: true })).toBe(false);
  expect(mayInRoom('read', 'user', { role: 'owner' })).toBe(false);
  expect(mayInRoom('read', 'user', { role: undefined, self: true })).toBe(true);
});

test('limits refill, forget who is done, and fail closed when full', () => {
  let nowMs = 0;
  const limit = createRateLimit({ tries: 2, perMs: 1000, maxKeys: 2, now: () => nowMs });
  expect([limit.take('a'), limit.take('a'), limit.take('a')]).toEqual([true, true, false]);
  expect(limit.take('b')).toBe(true);
  expect(limit.take('c')).toBe(false);
  nowMs = 500;
  expect([limit.take('a'), limit.take('a')]).toEqual([true, false]);
  expect(limit.take('c')).toBe(true);
  nowMs = 5000;
  limit.giveBack('unknown');
  expect([limit.take('d'), limit.take('d'), limit.take('d')]).toEqual([true, true, false]);
});

test('sign-ins are limited per account and address, and per address', async () => {
  const limits = createLoginLimits();
  const tries = async (count: number, account: (i: number) => string, address: string): Promise<number> => {
    let allowed = 0;
    for (let i = 0; i < count; i++) {
      try {
        await limits.take(account(i), address);
        allowed++;
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
      }
    }
    return allowed;
  };
  expect(await tries(10, () => 'A@x', '10.0.0.1')).toBe(5);
  expect(await tries(10, () => 'a@x', '10.0.0.1')).toBe(0);
  expect(await tries(10, () => 'a@x', '10.0.0.2')).toBe(5);
  expect(await tries(50, String, '2001:db8::1')).toBe(20);
  expect(await tries(50, String, '2001:db8:0:0:ffff::1')).toBe(0);
  for (let i = 0; i < 50; i++) {
    await limits.take('b@x', '10.0.0.3');
    limits.giveBack('b@x', '10.0.0.3');
  }
});

test('an account that many addresses guess at is slowed down, and its owner gets in', async () => {
  let nowMs = 0;
  let pauses: number[] = [];
  const limits = createLoginLimits({ now: () => nowMs, pause: async (ms) => void pauses.push(ms) });
  const guess = (i: number): Promise<void> => limits.take('Owner@x', `10.${i >> 8}.${i & 255}.1`);
  for (let i = 0; i < 100; i++) await guess(i);
  expect(pauses).toEqual([]);
  for (let i = 100; i < 104; i++) await guess(i);
  expect(pauses).toEqual([100, 200, 300]);
  for (let i = 104; i < 400; i++) await guess(i);
  expect(Math.max(...pauses)).toBe(5_000);
  await limits.take('other@x', '10.9.9.9');
  expect(pauses.at(-1)).toBe(5_000);
  nowMs = 3_600_000 * 4;
  pauses = [];
  await guess(0);
  expect(pauses).toEqual([]);
});

test('only so many wait for a slowed account', async () => {
  const held: (() => void)[] = [];
  const limits = createLoginLimits({ now: () => 0, pause: () => new Promise((resolve) => held.push(() => resolve())) });
  const guesses = Array.from({ length: 300 }, (_, i) => limits.take('owner@x', `10.${i >> 8}.${i & 255}.1`));
  const settled = Promise.allSettled(guesses);
  await until(() => held.length === 100);
  for (const release of held) release();
  expect((await settled).filter(({ status }) => status === 'rejected')).toHaveLength(99);
});

test.each([
  ['10.1.2.3', '10.1.2.3'],
  ['::ffff:10.1.2.3', '10.1.2.3'],
  ['2001:DB8:1:2:3:4:5:6', '2001:db8:1:2'],
  ['2001:db8::1', '2001:db8:0:0'],
  ['::1', '0:0:0:0'],
  ['fe80::1%eth0', 'fe80:0:0:0'],
])('the network of %s is %s', (address, network) => expect(networkOf(address)).toBe(network));

test('the cookie fits its address', () => {
  expect(refreshCookie('https://hub.example.com')).toMatchObject({
    name: '__Host-hostroom',
    options: { secure: true, httpOnly: true, sameSite: 'strict', path: '/' },
  });
  expect(refreshCookie('http://localhost:8080')).toMatchObject({ name: 'hostroom-8080', options: { secure: false, httpOnly: true } });
  expect(refreshCookie('http://hub.local').name).toBe('hostroom-80');
});

test('the secret is made once, for its owner only, whole even when two start at once', async () => {
  const parent = await mkdtemp(join(tmpdir(), 'hostroom-secret-'));
  onTestFinished(() => rm(parent, { recursive: true }));
  const folder = join(parent, 'data');
  const made = await Promise.all([1, 2, 3, 4].map(() => loadSecret(undefined, folder)));
  for (const secret of made) expect(secret).toEqual(made[0]);
  expect(made[0]).toHaveLength(32);
  expect(await readdir(folder)).toEqual(['secret.key']);
  expect((await stat(join(folder, 'secret.key'))).mode & 0o777).toBe(0o600);
  expect(await loadSecret(undefined, folder)).toEqual(made[0]);
  expect(await loadSecret(new Uint8Array(32).fill(3), folder)).toEqual(new Uint8Array(32).fill(3));
  expect((await readFile(join(folder, 'secret.key'), 'utf8')).trim()).toHaveLength(44);
  await writeFile(join(folder, 'secret.key'), 'broken');
  await expect(loadSecret(undefined, folder)).rejects.toThrow('holds no key');
});
