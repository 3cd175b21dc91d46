/** Keeps which agents are connected: one connection per host, joined and left as everyone sees it. */

import { announceAgent, markOffline, markOnline, refreshSeen, sweepOffline } from '../data/presence.ts';
import type { Sql } from '../db/database.ts';
import type { Client } from '../hub/client.ts';
import type { Hub } from '../hub/hub.ts';
import { Closing } from '../hub/refusal.ts';
import { closes } from '../protocol/codes.ts';
import type { EndCode } from '../protocol/codes.ts';
import type { Event, EventWhat } from '../protocol/kinds.ts';
import { hostRoom } from '../protocol/rooms.ts';
import { newSession, sessionOf } from './agentSession.ts';
import type { AgentSession } from './agentSession.ts';

export interface PresenceParts {
  sql: Sql;
  hub: Pick<Hub, 'attach'>;
  /** The id of this hub process. */
  replica: string;
  /** Posts an event into a host's conversation. */
  event(host: string, what: EventWhat, details?: Event['details']): Promise<unknown>;
  /** The host came online or went offline. */
  status(host: string, group: string, online: boolean): void;
  /** Something nobody waits for failed. */
  failed(error: unknown, what: string): void;
}

export interface PresenceTimes {
  /** "Left" is posted when there was no connection anywhere for so long. */
  goneAfterMs?: number;
  /** How often the hub says which agents it holds. */
  refreshMs?: number;
  /** How often hosts left behind by a dead replica are looked for; the first time after the same delay, so that agents can come back. */
  sweepMs?: number;
}

/** So many changes of boot within the time mean that two agents share one identity. */
const sharedChanges = 3;
const sharedWithinMs = 5 * 60_000;

interface Present {
  client: Client;
  session: AgentSession;
}

export class AgentPresence {
  readonly #parts: PresenceParts;
  readonly #times: Required<PresenceTimes>;
  /** By host id; the one connection of each that may publish. */
  readonly #present = new Map<string, Present>();
  /** When a connection of another boot pushed a living one out, by host id; at most `sharedChanges` each. */
  readonly #changes = new Map<string, number[]>();
  readonly #leaving = new Map<string, NodeJS.Timeout>();
  readonly #timers: NodeJS.Timeout[] = [];
  #announcements = 0;

  constructor(parts: PresenceParts, times: PresenceTimes = {}) {
    this.#parts = parts;
    const { goneAfterMs = 10_000, refreshMs = 5_000, sweepMs = 15_000 } = times;
    this.#times = { goneAfterMs, refreshMs, sweepMs };
  }

  start(): void {
    const every = (ms: number, what: string, run: () => Promise<void>): void => {
      this.#timers.push(setInterval(() => this.#background(what, run()), ms).unref());
    };
    every(this.#times.refreshMs, 'saying which agents are connected', () => this.#refresh());
    every(this.#times.sweepMs, 'looking for agents left behind', () => this.#sweep());
  }

  /** Before the connect reply: decides whether this connection may be the host's. Throws Closing `replaced` when a newer one is. */
  async announce(host: string, boot: string, connection: number): Promise<AgentSession> {
    const { sql, replica } = this.#parts;
    const announced = await announceAgent(sql, { host, boot, connection, replica });
    if (!announced) throw new Closing(closes.replaced);
    this.#replace(host, boot);
    return newSession({ host, group: announced.group, name: announced.name, boot, connection, order: ++this.#announcements });
  }

  /** After the connect reply: the agent is a member of its room from now on. */
  connected(client: Client): void {
    const session = sessionOf(client);
    if (!session) return;
    const older = this.#present.get(session.host);
    // Two connects at once: the order of their announcements holds, whichever reply was written first.
    if (session.replaced || (older && older.session.order > session.order)) {
      session.replaced = true;
      client.close(closes.replaced);
      return;
    }
    this.#replace(session.host, session.boot);
    this.#present.set(session.host, { client, session });
    clearTimeout(this.#leaving.get(session.host));
    this.#leaving.delete(session.host);
    this.#parts.hub.attach(client, hostRoom(session.host));
    this.#parts.status(session.host, session.group, true);
    this.#background('marking an agent online', this.#online([session.host]));
  }

  disconnected(client: Client): void {
    const session = sessionOf(client);
    if (!session || this.#present.get(session.host)?.client !== client) return;
    const { host } = session;
    this.#present.delete(host);
    clearTimeout(this.#leaving.get(host));
    const timer = setTimeout(() => {
      this.#leaving.delete(host);
      this.#background('marking an agent offline', this.#offline(session));
    }, this.#times.goneAfterMs);
    this.#leaving.set(host, timer.unref());
  }

  /** The agents connected to this replica. */
  sessions(): AgentSession[] {
    return Array.from(this.#present.values(), ({ session }) => session);
  }

  isConnected(host: string): boolean {
    return this.#present.has(host);
  }

  /** Ends the host's connection here, such as when it was deleted. */
  end(host: string, end: EndCode): void {
    const present = this.#present.get(host);
    if (!present) return;
    present.session.replaced = true;
    present.client.close(end);
  }

  /** Says a last time which agents were here, so that another replica, or the next start, counts from now. */
  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    for (const timer of this.#leaving.values()) clearTimeout(timer);
    this.#leaving.clear();
    await this.#refresh().catch((error: unknown) => this.#parts.failed(error, 'saying which agents were connected'));
  }

  #replace(host: string, boot: string): void {
    const loser = this.#present.get(host);
    if (!loser || loser.session.replaced) return;
    loser.session.replaced = true;
    loser.client.close(closes.replaced);
    if (loser.session.boot !== boot) this.#countChange(host);
  }

  #countChange(host: string): void {
    const nowMs = performance.now();
    const changes = (this.#changes.get(host) ?? []).filter((atMs) => atMs > nowMs - sharedWithinMs);
    changes.push(nowMs);
    if (changes.length < sharedChanges) {
      this.#changes.set(host, changes);
      return;
    }
    this.#changes.delete(host);
    this.#background('telling of a shared identity', this.#parts.event(host, 'identity_shared', { changes: changes.length }));
  }

  async #online(hosts: string[]): Promise<void> {
    const joined = await markOnline(this.#parts.sql, hosts);
    await Promise.all(joined.map((host) => this.#parts.event(host, 'agent_joined')));
  }

  async #offline({ host, group }: AgentSession): Promise<void> {
    if (this.#present.has(host) || !(await markOffline(this.#parts.sql, host, this.#times.goneAfterMs))) return;
    this.#parts.status(host, group, false);
    await this.#parts.event(host, 'agent_left');
  }

  async #refresh(): Promise<void> {
    const sessions = this.sessions();
    if (sessions.length === 0) return;
    const hosts = sessions.map((session) => session.host);
    const known = await refreshSeen(
      this.#parts.sql,
      hosts,
      sessions.map((session) => session.last.sample.at),
    );
    // A host may be deleted between its agent's announcement and its first place here, or on another replica.
    const names = new Map(known.map(({ id, name }) => [id, name]));
    for (const session of sessions) {
      const name = names.get(session.host);
      if (name === undefined) this.end(session.host, closes.permissionDenied);
      else session.name = name;
    }
    // Mends what a database that was away at the connect has missed.
    await this.#online([...names.keys()]);
  }

  async #sweep(): Promise<void> {
    const silentMs = this.#times.goneAfterMs + 2 * this.#times.refreshMs;
    const left = await sweepOffline(this.#parts.sql, silentMs);
    for (const { id, group } of left) this.#parts.status(id, group, false);
    await Promise.all(left.map(({ id }) => this.#parts.event(id, 'agent_left')));
  }

  #background(what: string, work: Promise<unknown>): void {
    work.catch((error: unknown) => this.#parts.failed(error, what));
  }
}
