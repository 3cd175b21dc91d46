/** Finds out who stands behind a token. */

import type { AccessTokens } from '../auth/accessToken.ts';
import { agentTokenTyp, verifyAgentToken } from '../auth/agentToken.ts';
import { readHeader } from '../auth/jws.ts';
import type { Failure } from '../auth/jws.ts';
import type { Directory } from '../data/directory.ts';
import type { HostKey } from '../data/hosts.ts';
import type { Clock } from '../lib/clock.ts';

export interface IdentifiedUser {
  kind: 'user';
  id: string;
  name: string;
  admin: boolean;
  session: string;
  /** Hub time in ms. */
  expiresAt: number;
}

/** A host by its agent, with the key that it proved to have. */
export interface IdentifiedAgent extends HostKey {
  kind: 'agent';
  /** Hub time in ms: when the token ends, not the connection that it opens. */
  expiresAt: number;
}

export interface IdentifyUserNeeds {
  accessTokens: AccessTokens;
  directory: Pick<Directory, 'session'>;
}

export interface IdentifyNeeds extends IdentifyUserNeeds {
  directory: Pick<Directory, 'session' | 'hostKey' | 'doubtKey'>;
  /** The hub's id. */
  hub: string;
  clock: Clock;
}

/** For both sorts of token. `expired` only where a fresh token would be right; an ended session is `invalid`. */
export async function identify(needs: IdentifyNeeds, token: string): Promise<IdentifiedUser | IdentifiedAgent | Failure> {
  return readHeader(token)?.typ === agentTokenTyp ? identifyAgent(needs, token) : identifyUser(needs, token);
}

/** Access tokens only: what REST takes. */
export async function identifyUser(needs: IdentifyUserNeeds, token: string): Promise<IdentifiedUser | Failure> {
  const claims = await needs.accessTokens.verify(token);
  if (typeof claims === 'string') return claims;
  const session = await needs.directory.session(claims.session);
  if (session?.person !== claims.person) return 'invalid';
  const { name, admin } = session;
  return { kind: 'user', id: claims.person, name, admin, session: claims.session, expiresAt: claims.expiresAt };
}

async function identifyAgent(needs: IdentifyNeeds, token: string): Promise<IdentifiedAgent | Failure> {
  let host: HostKey | undefined;
  const verify = (): ReturnType<typeof verifyAgentToken> =>
    verifyAgentToken(token, {
      hub: needs.hub,
      nowMs: needs.clock.now(),
      publicKeyOf: async (id) => {
        host = await needs.directory.hostKey(id);
        return host?.publicKey ?? null;
      },
    });
  let claims = await verify();
  if (claims === 'invalid' && host) {
    // Refused for good is only who does not fit the key as PostgreSQL has it.
    needs.directory.doubtKey(host.id);
    claims = await verify();
  }
  if (typeof claims === 'string') return claims;
  return host ? { kind: 'agent', ...host, expiresAt: claims.expiresAt } : 'invalid';
}
