/** Replicas that share presence through a real Redis: hubs without sockets, whose members keep who is there as a page does. */

import { onTestFinished } from 'vitest';
import type { Client } from '../../src/hub/client.ts';
import type { Frames } from '../../src/hub/frame.ts';
import { Hub } from '../../src/hub/hub.ts';
import type { Wire } from '../../src/hub/wire.ts';
import { newId } from '../../src/lib/id.ts';
import { parseRedisAddress } from '../../src/lib/redisAddress.ts';
import type { ClientInfo } from '../../src/protocol/commands.ts';
import { RedisPresence } from '../../src/relay/presenceRedis.ts';
import { RedisLink } from '../../src/relay/redisLink.ts';
import { UnevenBus, UnevenRelay, type Unevenness } from './unevenBus.ts';
import { until } from './until.ts';

/** Fast enough to see an end, slow enough to see that nothing ended too early. */
export const times = { ttlMs: 1_500, refreshMs: 200, gatherMs: 20, settleMs: 3_500 };

export interface PresenceReplica {
  hub: Hub;
  link: RedisLink;
  /** Someone who subscribes and keeps who is there. */
  join(room: string, user?: string): Promise<Member>;
  /** An agent. */
  attach(room: string): Client;
  /** As `kill -9`: says nothing more to anybody. */
  die(): Promise<void>;
}

export interface PresenceReplicas {
  all: PresenceReplica[];
  dropped: string[];
  failures: unknown[];
}

export async function startPresence(
  redisUrl: string,
  count: number,
  unevenness: Unevenness = { delayMs: () => 0 },
): Promise<PresenceReplicas> {
  const bus = new UnevenBus(unevenness);
  const [dropped, failures]: [string[], unknown[]] = [[], []];
  const hubId = newId();
  const open = async (): Promise<PresenceReplica> => {
    const replica = newId();
    const log = { info: () => {}, warn: () => {}, error: () => {} };
    const link = new RedisLink({ address: parseRedisAddress(redisUrl)!, hub: hubId, replica, log, canary: { everyMs: 50, silentMs: 300 } });
    const relay = new UnevenRelay(bus);
    const presence = new RedisPresence({
      link,
      relay,
      replica,
      dropped: (what) => void dropped.push(what),
      failed: (error) => void failures.push(error),
      times,
    });
    const hub = new Hub({ relay, presence });
    await hub.start();
    let isDead = false;
    const die = async (): Promise<void> => {
      if (isDead) return;
      isDead = true;
      await relay.close();
      await link.close();
      await presence.close();
    };
    onTestFinished(async () => {
      await presence.close();
      await hub.close();
      await die();
    });
    await until(() => !link.isAway, 'Redis is there');
    return {
      hub,
      link,
      join: (room, user = newId()) => Member.join(hub, room, user),
      attach: (room) => {
        const client = hub.add(newId(), { user: 'agent', kind: 'agent', maxFrameBytes: 1 }, deaf());
        hub.attach(client, room);
        return client;
      },
      die,
    };
  };
  return { all: await Promise.all(Array.from({ length: count }, open)), dropped, failures };
}

export class Member {
  readonly hub: Hub;
  readonly room: string;
  /** What was pushed, such as `join <client>`. */
  readonly pushed: string[] = [];
  /** Connections in the room, as far as it knows; undefined while there are too many. */
  there: Set<string> | undefined = new Set();
  readonly client: Client;

  private constructor(hub: Hub, room: string, user: string) {
    this.hub = hub;
    this.room = room;
    const wire = Object.assign(deaf(), { write: (frames: Frames) => this.#read(frames) });
    this.client = hub.add(newId(), { user, kind: 'user', maxFrameBytes: 1 }, wire);
  }

  static async join(hub: Hub, room: string, user: string): Promise<Member> {
    const member = new Member(hub, room, user);
    const grant = { joinLeave: true, presence: true, skippable: false };
    await hub.subscribe(member.client, room, grant, { recover: false, strict: false, offset: 0, epoch: '' }, () => undefined);
    await member.ask();
    return member;
  }

  get id(): string {
    return this.client.id;
  }

  /** Asks for the list, as a page does when it enters. */
  async ask(): Promise<void> {
    const infos = await this.hub.presence.everyone(this.room);
    this.hub.flush();
    this.there = infos && new Set(infos.map(({ client }) => client));
  }

  leave(): void {
    this.hub.remove(this.client);
  }

  #read({ payloads }: Frames): void {
    for (const line of payloads.flatMap((payload) => payload.toString().split('\n'))) {
      const { push } = JSON.parse(line) as { push?: { join?: { info: ClientInfo }; leave?: { info: ClientInfo } } };
      if (push?.join) this.there?.add(push.join.info.client);
      if (push?.leave) this.there?.delete(push.leave.info.client);
      const [what, change] = Object.entries(push ?? {}).find(([key]) => key === 'join' || key === 'leave') ?? [];
      if (what) this.pushed.push(`${what} ${(change as { info: ClientInfo }).info.client}`);
    }
  }
}

const deaf = (): Wire =>
  ({
    isOpen: true,
    queuedBytes: 0,
    isMidMessage: false,
    write: () => {},
    cork: () => {},
    uncork: () => {},
    onceDrained: () => {},
    close: () => {},
  }) as unknown as Wire;
