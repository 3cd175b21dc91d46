/** Random tokens of which only a hash is stored: sign-in links, enrolment tokens. */

import { createHash, randomBytes } from 'node:crypto';

export interface OpaqueToken {
  /** 256 bits as base64url: for its holder only. */
  token: string;
  /** SHA-256, for the database. */
  hash: Buffer;
}

export function newOpaqueToken(): OpaqueToken {
  const token = randomBytes(32).toString('base64url');
  return { token, hash: hashToken(token) };
}

/** A fast hash is enough: the token is random, there is nothing to guess. */
export const hashToken = (token: string): Buffer => createHash('sha256').update(token).digest();
