/** Names that the benchmark's hub and its clients agree on. */

import type { Keys } from '../../../src/auth/secretKey.ts';
import { type AccessTokens, createAccessTokens } from '../../../src/auth/accessToken.ts';
import { deriveKeys } from '../../../src/auth/secretKey.ts';
import { systemClock } from '../../../src/lib/clock.ts';

/** Rooms are numbered from here, so that their names have one length. */
export const roomBase = 1_000;
export const roomCount = 1_000;
/** `%d` stands for the number. */
export const hostPattern = '01990000-0000-7000-8000-00000000%d';
export const hostOf = (number: number): string => hostPattern.replace('%d', String(number));
export const boot = '01990000-0000-7000-8000-000000000001';
export const person = '01990000-0000-7000-8000-000000000002';

/** Access tokens as the hub makes them, signed with a key that both sides know. */
export function benchTokens(): AccessTokens {
  const keys: Keys = deriveKeys(new Uint8Array(32).fill(7));
  return createAccessTokens({ keys, hub: '01990000-0000-7000-8000-000000000003', clock: systemClock });
}
