/** What the hub remembers of one connection of an agent. */

import type { Client } from '../hub/client.ts';
import { Refusal } from '../hub/refusal.ts';
import { errors } from '../protocol/codes.ts';

export interface AgentSession {
  host: string;
  group: string;
  name: string;
  /** Announced at connect. */
  boot: string;
  connection: number;
  /** Its place among all connections announced for the host, over all replicas: of two the later announced one stays. */
  order: number;
  /** A newer connection took its place: nothing more is taken from it. */
  replaced: boolean;
  /** Publications that wait for their commit. */
  waiting: number;
  /** The newest of each kind taken on this connection: `at` must increase with `seq`. */
  last: Record<'sample' | 'processes', { seq: number; at: number }>;
}

export function newSession(of: Pick<AgentSession, 'host' | 'group' | 'name' | 'boot' | 'connection' | 'order'>): AgentSession {
  return { ...of, replaced: false, waiting: 0, last: { sample: { seq: 0, at: 0 }, processes: { seq: 0, at: 0 } } };
}

/** So many of one agent's publications may wait for their commit, so that none fills the queue for all others. */
const maxWaiting = 2_000;

/** Counts `rows` as waiting until `commit` settles. Throws a temporary Refusal where too many wait already. */
export async function inTurn<T>(session: AgentSession, rows: number, commit: () => Promise<T>): Promise<T> {
  if (session.waiting + rows > maxWaiting)
    throw new Refusal(errors.tooManyRequests, `more than ${maxWaiting} publications unanswered; wait for replies`);
  session.waiting += rows;
  try {
    return await commit();
  } finally {
    session.waiting -= rows;
  }
}

/** The session of an agent's connection; undefined for people. */
export function sessionOf(client: Pick<Client, 'identity'>): AgentSession | undefined {
  return client.identity.kind === 'agent' ? (client.identity.extra as AgentSession) : undefined;
}
