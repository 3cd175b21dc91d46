/** How often sign-in may fail. */

import { isIPv6 } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { AppError } from '../errors.ts';
import type { SharedTries } from '../relay/sharedTries.ts';
import { createTries } from './tries.ts';

export interface LoginLimits {
  /** Takes a try: resolves when it may be made, refuses with `too_many_requests`. */
  take(account: string, address: string): Promise<void>;
  /** A right password costs nothing. */
  giveBack(account: string, address: string): void;
}

export interface LoginLimitOptions {
  now?: () => number;
  /** Resolves after so many ms. */
  pause?: (ms: number) => Promise<void>;
  /** What all replicas count together. */
  shared?: Pick<SharedTries, 'add'>;
}

/** Failures of one account, from wherever, that cost nothing but a try; beyond, each further one makes the next wait longer. */
const freePerHour = 100;
const delayStepMs = 100;
const maxDelayMs = 5_000;
const maxWaiting = 100;
const maxAccounts = 10_000;
/** Counted of one account; the wait is at its longest long before. */
const maxFailures = 10_000;
const hourMs = 3_600_000;

/**
 * 5 a minute for one account from one address, 20 a minute from one address in all; an IPv6 network of /64 counts as one address.
 * An account that many addresses guess at is slowed down, never locked: its owner still gets in.
 */
export function createLoginLimits({ now = () => performance.now(), pause = setTimeout, shared }: LoginLimitOptions = {}): LoginLimits {
  const perPair = createTries({ name: 'login-pair', tries: 5, perMs: 60_000 }, { shared, now });
  const perAddress = createTries({ name: 'login-address', tries: 20, perMs: 60_000 }, { shared, now });
  const failures = createFailures(now);
  const accounts = { name: 'login-account', tries: freePerHour, perMs: hourMs };
  let waiting = 0;
  const keys = (account: string, address: string): [string, string] => {
    const network = networkOf(address);
    return [network, `${network} ${account.toLowerCase()}`];
  };
  return {
    async take(account, address) {
      const [network, pair] = keys(account, address);
      const tooMany = (): AppError => new AppError('too_many_requests', 'Too many attempts to sign in; wait a minute.');
      if (!(await perAddress.take(network)) || !(await perPair.take(pair))) throw tooMany();
      const name = account.toLowerCase();
      const known = await shared?.add(accounts, name, 1, maxFailures);
      const failed = Math.max(failures.of(name), known?.before ?? 0);
      failures.add(name, 1);
      const delayMs = Math.min(maxDelayMs, (failed - freePerHour) * delayStepMs);
      if (delayMs <= 0) return;
      if (waiting >= maxWaiting) throw tooMany();
      waiting++;
      try {
        await pause(delayMs);
      } finally {
        waiting--;
      }
    },
    giveBack(account, address) {
      const [network, pair] = keys(account, address);
      perAddress.giveBack(network);
      perPair.giveBack(pair);
      failures.add(account.toLowerCase(), -1);
      void shared?.add(accounts, account.toLowerCase(), -1, maxFailures);
    },
  };
}

/** Counts by account; each count fades within an hour. The account heard of longest ago is forgotten beyond `maxAccounts`. */
function createFailures(now: () => number): { of(account: string): number; add(account: string, count: number): void } {
  const counts = new Map<string, { count: number; at: number }>();
  const of = (account: string): number => {
    const known = counts.get(account);
    return known ? Math.max(0, known.count - ((now() - known.at) / hourMs) * freePerHour) : 0;
  };
  return {
    of,
    add(account, count) {
      const next = Math.max(0, of(account) + count);
      counts.delete(account);
      counts.set(account, { count: next, at: now() });
      if (counts.size > maxAccounts) counts.delete(counts.keys().next().value!);
    },
  };
}

/** The first four groups of an IPv6 address, an IPv4 address whole. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined || !isIPv6(address)) return mapped ?? address;
  const [head = '', tail] = (address.split('%')[0] ?? '').split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const groups =
    tail === undefined ? before : [...before, ...Array<string>(Math.max(0, 8 - before.length - after.length)).fill('0'), ...after];
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}
