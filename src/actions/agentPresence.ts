/** Keeps which agents are connected: one connection per host over all replicas, joined and left as everyone sees it. */

import { announceAgents, countIdentityChange, markOffline, markOnline, refreshSeen, sweepOffline } from '../data/presence.ts';
import type { Announced, Announcement } from '../data/presence.ts';
import type { HostKey } from '../data/hosts.ts';
import type { Sql } from '../db/database.ts';
import type { Client } from '../hub/client.ts';
import type { Hub } from '../hub/hub.ts';
import { Closing } from '../hub/refusal.ts';
import { Gather } from '../lib/gather.ts';
import { Lanes } from '../lib/lanes.ts';
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
  /** Tells the other replicas of a connection that was announced here. */
  announced(connection: NewestConnection): void;
  /** Posts an event into a host's conversation. */
  event(host: string, what: EventWhat, details?: Event['details']): Promise<unknown>;
  /** The host came online or went offline. */
  status(host: string, group: string, online: boolean): void;
  /** Something nobody waits for failed. */
  failed(error: unknown, what: string): void;
}

/** A connection as all replicas compare it. */
export interface NewestConnection {
  host: string;
  boot: string;
  /** Its place among all connections announced for the host, as PostgreSQL gave it. */
  order: number;
}

export interface PresenceTimes {
  /** "Left" is posted when there was no connection anywhere for so long. */
  goneAfterMs?: number;
  /** How often the hub says which agents it holds, and hears which of them are the newest no more. */
  refreshMs?: number;
  /** How often hosts left behind by a dead replica are looked for; the first time after the same delay, so that agents can come back. */
  sweepMs?: number;
}

/** So many changes of boot within the time mean that two agents share one identity. */
const sharedChanges = 3;
const sharedWithinMs = 5 * 60_000;
/** Who is marked online or offline so soon after another is so in the same statement; nobody waits for it. */
const unhurriedMs = 50;
/** Of the connections to PostgreSQL, so many may write that agents came and left. */
const eventsAtOnce = 2;
/** So many hosts' newest connections elsewhere are remembered, for a connection of theirs that is just being made here. */
const maxElsewhere = 10_000;

interface Present {
  client: Client;
  session: AgentSession;
}

export class AgentPresence {
  readonly #parts: PresenceParts;
  readonly #times: Required<PresenceTimes>;
  /** By host id; the one connection of each that may publish. */
  readonly #present = new Map<string, Present>();
  /** The newest connection heard of on another replica, by host id, those heard of last at the end. */
  readonly #elsewhere = new Map<string, NewestConnection>();
  readonly #leaving = new Map<string, NodeJS.Timeout>();
  readonly #timers: NodeJS.Timeout[] = [];
  // Thousands of agents may come or go at once.
  readonly #announcing: Gather<Announcement, Announced | undefined>;
  /** Each event is a transaction of its own: those of thousands must not keep announcements and samples waiting. */
  readonly #events = new Lanes(eventsAtOnce);
  /** By host; whether it was not online before. */
  readonly #joining: Gather<string, boolean>;
  /** By host; whether it was online before. */
  readonly #parting: Gather<string, boolean>;
  /** `performance.now()` until when nobody's silence counts, for PostgreSQL was away and could not be told. */
  #deafUntilMs = 0;

  constructor(parts: PresenceParts, times: PresenceTimes = {}) {
    this.#parts = parts;
    const { goneAfterMs = 10_000, refreshMs = 5_000, sweepMs = 15_000 } = times;
    this.#times = { goneAfterMs, refreshMs, sweepMs };
    const { sql, replica } = parts;
    const about = (host: string): string => host;
    this.#announcing = new Gather({ ask: (list) => announceAgents(sql, list, replica), about: ({ host }) => host });
    this.#joining = new Gather({ ask: (hosts) => each(hosts, markOnline(sql, hosts)), about, gatherMs: unhurriedMs });
    this.#parting = new Gather({ ask: (hosts) => each(hosts, markOffline(sql, hosts, goneAfterMs)), about, gatherMs: unhurriedMs });
  }

  start(): void {
    const every = (ms: number, what: string, run: () => Promise<void>): void => {
      this.#timers.push(setInterval(() => this.#background(what, run()), ms).unref());
    };
    every(this.#times.refreshMs, 'saying which agents are connected', () => this.#refresh());
    every(this.#times.sweepMs, 'looking for agents left behind', () => this.#sweep());
  }

  /** Before the connect reply: decides whether this connection may be the host's. Throws Closing `replaced` when a newer one is. */
  async announce({ id: host, publicKey }: HostKey, boot: string, connection: number): Promise<AgentSession> {
    const announced = await this.#announcing.ask({ host, publicKey, boot, connection });
    if (!announced) throw new Closing(closes.replaced);
    const { group, name, order } = announced;
    this.#replace({ host, boot, order });
    this.#parts.announced({ host, boot, order });
    return newSession({ host, group, name, boot, connection, order });
  }

  /** Another replica announced a connection: an older one here is closed. */
  announcedElsewhere(newest: NewestConnection): void {
    this.#replace(newest);
    this.#elsewhere.delete(newest.host);
    this.#elsewhere.set(newest.host, newest);
    if (this.#elsewhere.size > maxElsewhere) this.#elsewhere.delete(this.#elsewhere.keys().next().value!);
  }

  /** After the connect reply: the agent is a member of its room from now on. */
  connected(client: Client): void {
    const session = sessionOf(client);
    if (!session) return;
    const { order } = session;
    // Two connects at once: the order of their announcements holds, whichever reply was written first.
    const isNewest = [this.#present.get(session.host)?.session, this.#elsewhere.get(session.host)].every(
      (other) => !other || other.order < order,
    );
    if (session.replaced || !isNewest) {
      session.replaced = true;
      client.close(closes.replaced);
      return;
    }
    this.#replace(session);
    this.#present.set(session.host, { client, session });
    clearTimeout(this.#leaving.get(session.host));
    this.#leaving.delete(session.host);
    this.#parts.hub.attach(client, hostRoom(session.host));
    this.#parts.status(session.host, session.group, true);
    this.#background('marking an agent online', this.#online(session.host));
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

  isConnected(host: string): boolean {
    return this.#present.has(host);
  }

  /** The agents connected to this replica. */
  sessions(): AgentSession[] {
    return Array.from(this.#present.values(), ({ session }) => session);
  }

  /** Ends the host's connection here, such as when it was deleted. @param before only one announced before this place in the order */
  end(host: string, end: EndCode, before = Infinity): void {
    const present = this.#present.get(host);
    if (!present || present.session.order >= before) return;
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

  /** Closes the host's connection here where `newest` came after it. */
  #replace({ host, boot, order }: NewestConnection): void {
    const loser = this.#present.get(host);
    if (!loser || loser.session.replaced || loser.session.order >= order) return;
    loser.session.replaced = true;
    loser.client.close(closes.replaced);
    if (loser.session.boot !== boot) this.#background('counting changes of identity', this.#countChange(host));
  }

  #event(...of: Parameters<PresenceParts['event']>): Promise<unknown> {
    return this.#events.run(() => this.#parts.event(...of));
  }

  async #countChange(host: string): Promise<void> {
    const changes = await countIdentityChange(this.#parts.sql, host, { withinMs: sharedWithinMs, limit: sharedChanges });
    if (changes >= sharedChanges) await this.#event(host, 'identity_shared', { changes });
  }

  async #online(host: string): Promise<void> {
    if (await this.#joining.ask(host)) await this.#event(host, 'agent_joined');
  }

  async #offline({ host, group }: AgentSession): Promise<void> {
    if (this.#present.has(host) || !(await this.#parting.ask(host))) return;
    this.#parts.status(host, group, false);
    await this.#event(host, 'agent_left');
  }

  async #refresh(): Promise<void> {
    const sessions = this.sessions();
    const held = sessions.map(({ host, order, last }) => ({ host, order, sampleAt: last.sample.at }));
    const standings = await this.#heedingSilence(refreshSeen(this.#parts.sql, held));
    const known = new Map(standings.map((standing) => [standing.id, standing]));
    const offline: string[] = [];
    for (const session of sessions) {
      const standing = known.get(session.host);
      // A host may be deleted between its agent's announcement and its first place here, or on another replica.
      if (!standing) this.end(session.host, closes.permissionDenied);
      // What the notice of a newer connection did not reach is found here.
      else if (standing.order > session.order) this.#replace({ host: session.host, boot: standing.boot, order: standing.order });
      else {
        if (!standing.online) offline.push(session.host);
        session.name = standing.name;
        session.group = standing.group;
      }
    }
    // Mends what a database that was away at the connect has missed.
    await Promise.all(offline.map((host) => this.#online(host)));
  }

  async #sweep(): Promise<void> {
    if (performance.now() < this.#deafUntilMs) return;
    const left = await this.#heedingSilence(sweepOffline(this.#parts.sql, this.#silentMs));
    for (const { id, group } of left) this.#parts.status(id, group, false);
    await Promise.all(left.map(({ id }) => this.#event(id, 'agent_left')));
  }

  /** After so long without a word from any replica, the one that held the agent is dead. */
  get #silentMs(): number {
    return this.#times.goneAfterMs + 2 * this.#times.refreshMs;
  }

  /** What PostgreSQL answers; while it is away nobody can say there that an agent is connected, so silence means nothing for a while. */
  async #heedingSilence<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      this.#deafUntilMs = performance.now() + this.#silentMs;
      throw error;
    }
  }

  #background(what: string, work: Promise<unknown>): void {
    work.catch((error: unknown) => this.#parts.failed(error, what));
  }
}

/** Of each host, whether it is among those. */
async function each(hosts: readonly string[], those: Promise<ReadonlySet<string>>): Promise<boolean[]> {
  const found = await those;
  return hosts.map((host) => found.has(host));
}
