/** The long-lived tokens of signed-in browsers: opaque, rotated at each use. */

import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Keys } from './secretKey.ts';

export interface RefreshToken {
  token: string;
  /** SHA-256, for the database. */
  hash: Buffer;
}

export interface RefreshTokens {
  /** A fresh token of the session. */
  make(session: string): RefreshToken;
  /** Session and hash of a token that this hub made; undefined for anything else. */
  read(token: string): { session: string; hash: Buffer } | undefined;
  /** Encrypts a successor, so that the database alone cannot sign in. */
  seal(token: string, session: string): Buffer;
  unseal(sealed: Buffer, session: string): string;
}

const macBytes = 16;

/**
 * A token is session id, 256 random bits, and a MAC over both. The MAC lets a genuine but rotated token be recognised however
 * old it is, which ends its session, while nobody can end sessions with made-up tokens.
 */
export function createRefreshTokens(keys: Pick<Keys, 'refreshSeal' | 'refreshMac'>): RefreshTokens {
  const sign = (body: Buffer): Buffer => createHmac('sha256', keys.refreshMac).update(body).digest().subarray(0, macBytes);
  const hashOf = (token: Buffer): Buffer => createHash('sha256').update(token).digest();

  return {
    make(session) {
      const body = Buffer.concat([Buffer.from(session.replaceAll('-', ''), 'hex'), randomBytes(32)]);
      const whole = Buffer.concat([body, sign(body)]);
      return { token: whole.toString('base64url'), hash: hashOf(whole) };
    },

    read(token) {
      if (!/^[A-Za-z0-9_-]{86}$/.test(token)) return undefined;
      const whole = Buffer.from(token, 'base64url');
      const body = whole.subarray(0, 48);
      if (whole.length !== 64 || !timingSafeEqual(sign(body), whole.subarray(48))) return undefined;
      const hex = body.toString('hex', 0, 16);
      const session = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
      return { session, hash: hashOf(whole) };
    },

    seal(token, session) {
      const iv = randomBytes(12);
      const cipher = createCipheriv('aes-256-gcm', keys.refreshSeal, iv).setAAD(Buffer.from(session));
      return Buffer.concat([iv, cipher.update(token, 'utf8'), cipher.final(), cipher.getAuthTag()]);
    },

    unseal(sealed, session) {
      const decipher = createDecipheriv('aes-256-gcm', keys.refreshSeal, sealed.subarray(0, 12)).setAAD(Buffer.from(session));
      decipher.setAuthTag(sealed.subarray(-16));
      return decipher.update(sealed.subarray(12, -16), undefined, 'utf8') + decipher.final('utf8');
    },
  };
}
