/** One room on this replica: its members, and what is to be written to them at the end of this turn. */

import type { ClientInfo } from '../protocol/commands.ts';
import type { RelayRecord } from '../relay/relay.ts';
import { pushHead } from '../protocol/replies.ts';
import type { Client } from './client.ts';
import { maxQueuedBytes, slowBytes } from './client.ts';
import { textFrames, type Frames } from './frame.ts';
import type { HubMetrics } from './metrics.ts';
import { Order } from './position.ts';
import { maxRecovered } from './recovery.ts';
import type { Stream } from './stream.ts';
import { manyRooms, type Turn } from './turn.ts';

/** The room as one client may use it. */
export interface Grant {
  /** Absent: a room without positions. */
  stream?: Stream;
  joinLeave: boolean;
  presence: boolean;
  /** A slow reader may miss publications here and is told to recover; elsewhere nothing is skipped. */
  skippable: boolean;
  /** `data` of the subscribe result, read after the position was taken. */
  data?: () => unknown;
  /** `chan_info` of ClientInfo. */
  info?: unknown;
  /** Hub time in ms. */
  expiresAt?: number;
}

/** `joining`: publications are collected until the reply; `paused`: gets nothing until push 2500 ends it. */
export type MembershipState = 'joining' | 'live' | 'paused';

export class Membership {
  readonly client: Client;
  readonly room: Room;
  readonly skippable: boolean;
  readonly presence: boolean;
  expiresAt: number | undefined;
  readonly #info: unknown;
  state: MembershipState = 'joining';
  /** The newest publications delivered while joining, as many as a recovery may have; undefined once live. */
  collected: RelayRecord[] | undefined = [];
  /** Index of the first of the room's pending texts that is for this member. */
  from = 0;
  /** The others were told of its join. */
  announced = false;
  /** Publications up to this offset are known to the client already. */
  upTo = 0;

  constructor(client: Client, room: Room, grant: Grant) {
    this.client = client;
    this.room = room;
    this.skippable = grant.skippable;
    this.presence = grant.presence;
    this.expiresAt = grant.expiresAt;
    this.#info = grant.info;
  }

  get info(): ClientInfo {
    return this.#info === undefined ? this.client.info : { ...this.client.info, chan_info: this.#info };
  }

  /** Keeps a publication for the moment the subscription goes live. */
  collect(record: RelayRecord): void {
    if (this.collected && this.collected.length > maxRecovered) this.collected.shift();
    this.collected?.push(record);
  }
}

export class Room {
  readonly name: string;
  readonly head: string;
  readonly members = new Map<Client, Membership>();
  /** Members that do not subscribe. */
  readonly attached = new Set<Client>();
  order = new Order<RelayRecord>();
  stream: Stream | undefined;
  joinLeave = false;
  /** Waiting for missing publications. */
  holeTimer: NodeJS.Timeout | undefined;
  /** Members that collect until their reply. */
  readonly joining = new Set<Membership>();
  /** Members whose `upTo` may still lie ahead of the room's position. */
  readonly young = new Set<Membership>();
  #pending: string[] = [];
  /** Characters of the pending texts: close enough to bytes for a cap. */
  #pendingLength = 0;
  #pendingSince = 0;
  readonly #turn: Turn;
  readonly #metrics: HubMetrics;

  constructor(name: string, turn: Turn, metrics: HubMetrics) {
    this.name = name;
    this.head = pushHead(name);
    this.#turn = turn;
    this.#metrics = metrics;
  }

  get isEmpty(): boolean {
    return this.members.size === 0 && this.attached.size === 0;
  }

  join(member: Membership): void {
    this.members.set(member.client, member);
    this.joining.add(member);
  }

  leave(member: Membership): void {
    this.members.delete(member.client);
    this.joining.delete(member);
    this.young.delete(member);
  }

  /** Stops waiting for missing publications. */
  stopWaiting(): void {
    clearTimeout(this.holeTimer);
    this.holeTimer = undefined;
  }

  /** Adds one push for all live members, written at the end of this turn. */
  append(text: string): void {
    if (this.#pending.length === 0) {
      this.#turn.addRoom(this);
      this.#pendingSince = performance.now();
    }
    this.#pending.push(text);
    this.#pendingLength += text.length;
  }

  /** Adds a publication; members that know it already from their subscribe reply do not get it again. */
  appendPublication(text: string, offset: number): void {
    if (offset > 0 && this.young.size > 0) {
      const knowing = [...this.young].filter((member) => member.upTo >= offset);
      // What stands before it is for everyone, so it has to be on its way before some skip this one.
      if (knowing.length > 0) this.flush();
      this.append(text);
      for (const member of knowing) member.from = this.#pending.length;
      for (const member of this.young) if (member.upTo <= offset) this.young.delete(member);
      return;
    }
    this.append(text);
  }

  /** From now on the member gets what is appended. Call after its subscribe reply was handed to `client.send`. */
  goLive(member: Membership): void {
    member.state = 'live';
    this.joining.delete(member);
    member.collected = undefined;
    member.from = this.#pending.length;
    if (member.upTo > this.order.offset) this.young.add(member);
  }

  /** Stops deliveries to a member that missed something; the caller sees to its push 2500. */
  pause(member: Membership): void {
    member.state = 'paused';
    this.young.delete(member);
  }

  /** Writes the pending texts: one buffer, shared by all who get the same. */
  flush(): void {
    const texts = this.#pending;
    if (texts.length === 0) return;
    const length = this.#pendingLength;
    this.#pending = [];
    this.#pendingLength = 0;
    let all: Frames | undefined;
    let parts: Map<number, Frames> | undefined;
    let sent = 0;
    for (const member of this.members.values()) {
      if (member.state !== 'live') continue;
      const from = member.from;
      if (from === 0) {
        if (!this.#admits(member, length)) continue;
        sent += texts.length;
        if (member.client.pending.length > 0) for (const text of texts) member.client.pending.push(text);
        else this.#writeTo(member, (all ??= textFrames(texts)));
        continue;
      }
      member.from = 0;
      if (from >= texts.length) continue;
      if (!this.#admits(member, length)) continue;
      sent += texts.length - from;
      if (member.client.pending.length > 0) {
        for (let at = from; at < texts.length; at++) member.client.pending.push(texts[at]!);
        continue;
      }
      let frames = parts?.get(from);
      if (!frames) (parts ??= new Map()).set(from, (frames = textFrames(texts, from)));
      this.#writeTo(member, frames);
    }
    if (sent > 0) this.#metrics.sent('push', sent);
    this.#metrics.deliverSeconds((performance.now() - this.#pendingSince) / 1000);
  }

  /** False if the client is too far behind for more of this room. */
  #admits(member: Membership, length: number): boolean {
    const { client } = member;
    const queued = client.wire.queuedBytes;
    if (queued === 0 || (queued <= slowBytes && queued + length <= maxQueuedBytes)) return true;
    if (member.skippable) {
      this.pause(member);
      this.#turn.events.skipped(member);
      return false;
    }
    if (queued + length <= maxQueuedBytes) return true;
    this.#turn.events.tooSlow(client);
    return false;
  }

  #writeTo({ client, skippable }: Membership, frames: Frames): void {
    // A client in several rooms gets one write for all of them; one in many, one per window for those that may miss something.
    const rooms = client.rooms.size;
    if (rooms >= manyRooms && skippable && !client.isSlow) this.#turn.hold(client);
    else if (rooms > 1) this.#turn.cork(client);
    client.write(frames);
  }
}
