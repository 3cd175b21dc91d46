/** The access tokens of people: short JWTs that the hub signs for itself. */

import { SignJWT } from 'jose';
import { newId } from '../lib/id.ts';
import type { Clock } from '../lib/clock.ts';
import { isUuid } from '../protocol/rooms.ts';
import { readHeader, verifyClaims } from './jws.ts';
import type { Failure } from './jws.ts';
import type { Keys } from './secretKey.ts';

export const accessTokenTyp = 'at+jwt';
const lifetimeS = 600;

export interface AccessClaims {
  person: string;
  session: string;
  /** Hub time in ms. */
  expiresAt: number;
}

export interface AccessTokens {
  /** `expiresIn` in seconds. */
  issue(person: string, session: string): Promise<{ accessToken: string; expiresIn: number }>;
  /** `expired` only where everything else is right. */
  verify(token: string): Promise<AccessClaims | Failure>;
}

/** `hub` is the hub's id: a token of another hub is worth nothing here. */
export function createAccessTokens(options: {
  keys: Pick<Keys, 'accessPrivate' | 'accessPublic'>;
  hub: string;
  clock: Clock;
}): AccessTokens {
  const { keys, hub, clock } = options;
  const issuer = `hostroom:${hub}`;
  const audience = `hostroom:${hub}:people`;

  return {
    async issue(person, session) {
      const nowS = Math.floor(clock.now() / 1000);
      const accessToken = await new SignJWT({ sid: session })
        .setProtectedHeader({ alg: 'EdDSA', typ: accessTokenTyp })
        .setSubject(person)
        .setIssuer(issuer)
        .setAudience(audience)
        .setJti(newId())
        .setIssuedAt(nowS)
        .setExpirationTime(nowS + lifetimeS)
        .sign(keys.accessPrivate);
      return { accessToken, expiresIn: lifetimeS };
    },

    async verify(token) {
      const header = readHeader(token);
      if (header?.typ !== accessTokenTyp || header.kid !== undefined) return 'invalid';
      const claims = await verifyClaims(token, keys.accessPublic, {
        typ: accessTokenTyp,
        audience,
        issuer,
        maxAgeS: lifetimeS,
        nowMs: clock.now(),
      });
      if (typeof claims === 'string') return claims;
      const { sub, sid, exp } = claims;
      return isUuid(sub) && isUuid(sid) && exp !== undefined ? { person: sub, session: sid, expiresAt: exp * 1000 } : 'invalid';
    },
  };
}
