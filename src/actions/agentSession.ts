/** What the hub remembers of one connection of an agent. */

import type { Client } from '../hub/client.ts';

export interface AgentSession {
  host: string;
  group: string;
  name: string;
  /** Announced at connect. */
  boot: string;
  connection: number;
  /** Counts the announcements in this process: of two connections the later announced one stays. */
  order: number;
  /** A newer connection took its place: nothing more is taken from it. */
  replaced: boolean;
  /** The newest of each kind taken on this connection: `at` must increase with `seq`. */
  last: Record<'sample' | 'processes', { seq: number; at: number }>;
}

export function newSession(of: Pick<AgentSession, 'host' | 'group' | 'name' | 'boot' | 'connection' | 'order'>): AgentSession {
  return { ...of, replaced: false, last: { sample: { seq: 0, at: 0 }, processes: { seq: 0, at: 0 } } };
}

/** The session of an agent's connection; undefined for people. */
export function sessionOf(client: Pick<Client, 'identity'>): AgentSession | undefined {
  return client.identity.kind === 'agent' ? (client.identity.extra as AgentSession) : undefined;
}
