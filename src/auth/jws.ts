/** Reads compact EdDSA tokens strictly, before any key is touched. */

import { jwtVerify, errors } from 'jose';
import type { JWTPayload } from 'jose';
import type { KeyObject } from 'node:crypto';

const maxChars = 4_096;
const compact = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86}$/;

export interface Header {
  typ: string;
  kid: string | undefined;
}

export type Failure = 'invalid' | 'expired';

/**
 * The header of a token that has the one form we take: three canonical base64url parts, at most 4 KB, `alg` EdDSA, a `typ`,
 * perhaps a `kid`, nothing else (no crit, jku, x5u, jwk, b64, zip). Undefined for everything else.
 */
export function readHeader(token: string): Header | undefined {
  if (token.length > maxChars || !compact.test(token)) return undefined;
  const parts = token.split('.');
  // Several texts decode to the same bytes unless the unused bits are zero.
  if (!parts.every((part) => Buffer.from(part, 'base64url').toString('base64url') === part)) return undefined;
  const header = parseObject(Buffer.from(parts[0] ?? '', 'base64url').toString());
  if (!header) return undefined;
  const { alg, typ, kid, ...rest } = header;
  if (alg !== 'EdDSA' || typeof typ !== 'string' || Object.keys(rest).length > 0) return undefined;
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > 64)) return undefined;
  return { typ, kid };
}

/** The claims, once the signature holds and the times are right with 5 s of tolerance; `exp` at most `maxAgeS` after `iat`. */
export async function verifyClaims(
  token: string,
  key: KeyObject,
  expected: { typ: string; audience: string; issuer?: string; maxAgeS: number; nowMs: number },
): Promise<JWTPayload | Failure> {
  try {
    const { payload } = await jwtVerify(token, key, {
      algorithms: ['EdDSA'],
      typ: expected.typ,
      audience: expected.audience,
      issuer: expected.issuer,
      requiredClaims: ['sub', 'jti', 'iat', 'exp', 'aud'],
      maxTokenAge: expected.maxAgeS,
      clockTolerance: 5,
      currentDate: new Date(expected.nowMs),
    });
    const { aud, jti, iat = NaN, exp = NaN } = payload;
    const isSound = typeof aud === 'string' && typeof jti === 'string' && jti.length <= 128 && exp <= iat + expected.maxAgeS;
    return isSound ? payload : 'invalid';
  } catch (error) {
    if (error instanceof errors.JWTExpired) return 'expired';
    if (error instanceof errors.JOSEError || error instanceof TypeError) return 'invalid';
    throw error;
  }
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
