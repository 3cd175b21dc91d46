/** How often sign-in may fail from one address. */

import { isIPv6 } from 'node:net';
import { AppError } from '../errors.ts';
import { createRateLimit } from '../lib/rateLimit.ts';

export interface LoginLimits {
  /** Takes a try, or refuses with `too_many_requests`. */
  take(account: string, address: string): void;
  /** A right password costs nothing. */
  giveBack(account: string, address: string): void;
}

/** 5 a minute for one account from one address, 20 a minute from one address in all; an IPv6 network of /64 counts as one address. */
export function createLoginLimits(): LoginLimits {
  const perPair = createRateLimit({ tries: 5, perMs: 60_000 });
  const perAddress = createRateLimit({ tries: 20, perMs: 60_000 });
  const keys = (account: string, address: string): [string, string] => {
    const network = networkOf(address);
    return [network, `${network} ${account.toLowerCase()}`];
  };
  return {
    take(account, address) {
      const [network, pair] = keys(account, address);
      if (perAddress.take(network) && perPair.take(pair)) return;
      throw new AppError('too_many_requests', 'Too many attempts to sign in; wait a minute.');
    },
    giveBack(account, address) {
      const [network, pair] = keys(account, address);
      perAddress.giveBack(network);
      perPair.giveBack(pair);
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
