/** How often sign-in may fail. */

import { isIPv6 } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { AppError } from '../errors.ts';
import { createRateLimit } from '../lib/rateLimit.ts';

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
}

/** Failures of one account, from wherever, that cost nothing but a try; beyond, each further one makes the next wait longer. */
const freePerHour = 100;
const delayStepMs = 100;
const maxDelayMs = 5_000;
const maxWaiting = 100;
const maxAccounts = 10_000;
const hourMs = 3_600_000;

/**
 * 5 a minute for one account from one address, 20 a minute from one address in all; an IPv6 network of /64 counts as one address.
 * An account that many addresses guess at is slowed down, never locked: its owner still gets in.
 */
export function createLoginLimits({ now = () => performance.now(), pause = setTimeout }: LoginLimitOptions = {}): LoginLimits {
  const perPair = createRateLimit({ tries: 5, perMs: 60_000, now });
  const perAddress = createRateLimit({ tries: 20, perMs: 60_000, now });
  const failures = createFailures(now);
  let waiting = 0;
  const keys = (account: string, address: string): [string, string] => {
    const network = networkOf(address);
    return [network, `${network} ${account.toLowerCase()}`];
  };
  return {
    async take(account, address) {
      const [network, pair] = keys(account, address);
      const delayMs = Math.min(maxDelayMs, (failures.of(account.toLowerCase()) - freePerHour) * delayStepMs);
      if (!perAddress.take(network) || !perPair.take(pair) || (delayMs > 0 && waiting >= maxWaiting))
        throw new AppError('too_many_requests', 'Too many attempts to sign in; wait a minute.');
      failures.add(account.toLowerCase(), 1);
      if (delayMs <= 0) return;
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
