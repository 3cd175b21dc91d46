/** Verifies the connect tokens that agents sign themselves. */

import { createPublicKey } from 'node:crypto';
import type { PublicKey } from '../protocol/rest.ts';
import { isUuid } from '../protocol/rooms.ts';
import { readHeader, verifyClaims } from './jws.ts';
import type { Failure } from './jws.ts';

export const agentTokenTyp = 'agent+jwt';
const maxAgeS = 300;

export interface AgentClaims {
  host: string;
  /** Hub time in ms. */
  expiresAt: number;
}

export interface AgentTokenNeeds {
  /** The hub's id, the only audience taken. */
  hub: string;
  nowMs: number;
  /** The key enrolled for the host; null for an unknown host or one never enrolled. */
  publicKeyOf(host: string): Promise<PublicKey | null>;
}

/**
 * Checks type, key, audience and times: `exp` at most 300 s after `iat`, `kid` and `sub` the same host. A token may be used again
 * until it expires: it opens a connection and nothing more, and of two connections the newer announced one stays.
 */
export async function verifyAgentToken(token: string, needs: AgentTokenNeeds): Promise<AgentClaims | Failure> {
  const header = readHeader(token);
  if (header?.typ !== agentTokenTyp || !isUuid(header.kid)) return 'invalid';
  const jwk = await needs.publicKeyOf(header.kid);
  if (!jwk) return 'invalid';
  const claims = await verifyClaims(token, createPublicKey({ key: { ...jwk }, format: 'jwk' }), {
    typ: agentTokenTyp,
    audience: needs.hub,
    maxAgeS,
    nowMs: needs.nowMs,
  });
  if (typeof claims === 'string') return claims;
  const { sub, exp } = claims;
  if (sub !== header.kid || exp === undefined) return 'invalid';
  return { host: header.kid, expiresAt: exp * 1000 };
}
