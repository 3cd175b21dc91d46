/** Hashes passwords with Argon2id. */

import { argon2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { AppError } from '../errors.ts';

const hashWith = promisify(argon2);
const memoryKiB = 19_456;
const passes = 2;
const parallelism = 1;
const tagLength = 32;
/** Each holds 19 MiB and a core. */
const atOnce = 2;
const waitingMax = 100;
const phc = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=(\d)\$([A-Za-z0-9+/]{11,64})\$([A-Za-z0-9+/]{22,86})$/;

export interface Passwords {
  /** A PHC string with a fresh salt. Refuses `too_many_requests` when too many wait. */
  hash(password: string): Promise<string>;
  /** Takes the same time for no hash at all, so that an unknown account cannot be told from a wrong password. */
  verify(stored: string | null, password: string): Promise<boolean>;
}

/** At most two hashes are computed at once, however many sign-ins arrive. */
export function createPasswords(): Passwords {
  const waiting: (() => void)[] = [];
  let running = 0;

  async function inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (running >= atOnce) {
      if (waiting.length >= waitingMax) throw new AppError('too_many_requests', 'Too many sign-ins at once; wait a minute.');
      await new Promise<void>((resolve) => waiting.push(resolve));
    } else {
      running++;
    }
    try {
      return await work();
    } finally {
      // The place is handed on, so `running` changes only when nobody waits.
      const next = waiting.shift();
      if (next) next();
      else running--;
    }
  }

  const compute = (password: string, nonce: Buffer, memory: number, t: number, p: number, length: number): Promise<Buffer> =>
    hashWith('argon2id', { message: Buffer.from(password.normalize('NFKC')), nonce, memory, passes: t, parallelism: p, tagLength: length });

  return {
    hash: (password) =>
      inTurn(async () => {
        const salt = randomBytes(16);
        const tag = await compute(password, salt, memoryKiB, passes, parallelism, tagLength);
        return `$argon2id$v=19$m=${memoryKiB},t=${passes},p=${parallelism}$${base64(salt)}$${base64(tag)}`;
      }),
    verify: (stored, password) =>
      inTurn(async () => {
        const found = stored === null ? null : phc.exec(stored);
        const [, m = memoryKiB, t = passes, p = parallelism, salt = '', tag = ''] = found ?? [];
        const expected = Buffer.from(tag, 'base64');
        const length = found ? expected.length : tagLength;
        const nonce = found ? Buffer.from(salt, 'base64') : randomBytes(16);
        const actual = await compute(password, nonce, Number(m), Number(t), Number(p), length);
        return found !== null && timingSafeEqual(actual, expected);
      }),
  };
}

const base64 = (bytes: Buffer): string => bytes.toString('base64').replaceAll('=', '');
