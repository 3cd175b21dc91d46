/** The rooms of this replica: who is in them, and how a publication reaches everyone there. */

import { closes, errors, unsubscribes, type EndCode } from '../protocol/codes.ts';
import type { Position } from '../protocol/commands.ts';
import { encodeUnsubscribe } from '../protocol/replies.ts';
import { MemoryPresence, type Presence } from '../relay/presence.ts';
import type { Relay, RelayRecord, RoomsHere } from '../relay/relay.ts';
import { Client, type Identity } from './client.ts';
import { Delivery } from './delivery.ts';
import { noMetrics, type HubMetrics } from './metrics.ts';
import { Order } from './position.ts';
import { maxRecovered, start, type Joined, type Wish } from './recovery.ts';
import { Closing, Refusal } from './refusal.ts';
import { Membership, Room, type Grant } from './room.ts';
import { RoomPresence } from './roomPresence.ts';
import { SlowClients } from './slow.ts';
import type { Range, Stream, StreamPage } from './stream.ts';
import { Turn } from './turn.ts';
import type { Wire } from './wire.ts';

export interface HubOptions {
  relay: Relay;
  /** Who is in the rooms on other replicas; absent: nobody. */
  presence?: Presence;
  metrics?: HubMetrics;
  /** Something failed that nobody waits for; `what` says what was tried. */
  onError?: (error: unknown, what: string) => void;
  /** How long a publication waits for missing ones before the stream is asked. */
  holeWaitMs?: number;
  /** Over how long the pushes 2500 of one room are spread. */
  spreadMs?: number;
  /** People's join and leave are pushed in rooms of up to so many people, all replicas together. */
  joinLeaveUpTo?: number;
  /** How long a client may stay over 256 KiB. */
  slowMs?: number;
}

export class Hub {
  /** Who is in the rooms. */
  readonly presence: RoomPresence;
  readonly #rooms = new Map<string, Room>();
  readonly #clients = new Set<Client>();
  readonly #relay: Relay;
  readonly #elsewhere: Presence;
  readonly #metrics: HubMetrics;
  readonly #turn: Turn;
  readonly #slow: SlowClients;
  readonly #delivery: Delivery;
  readonly #here: RoomsHere = {
    has: (name) => (this.#rooms.get(name)?.members.size ?? 0) > 0,
    [Symbol.iterator]: () => this.#followedRooms(),
  };
  /** Rooms whose first member came, or whose last one left, which the relay is not told yet. */
  #changed = new Set<string>();

  constructor(options: HubOptions) {
    this.#relay = options.relay;
    this.#elsewhere = options.presence ?? new MemoryPresence();
    this.presence = new RoomPresence({ rooms: this.#rooms, elsewhere: this.#elsewhere, upTo: options.joinLeaveUpTo ?? 50 });
    this.#metrics = options.metrics ?? noMetrics;
    const end = (membership: Membership): void => this.#end(membership, unsubscribes.insufficientState);
    this.#delivery = new Delivery({ ...options, metrics: this.#metrics, end });
    this.#slow = new SlowClients(options.slowMs, {
      drained: end,
      tooLong: (client) => this.#closeSlow(client),
    });
    this.#turn = new Turn({
      becameSlow: (client) => this.#slow.add(client),
      skipped: (membership) => {
        this.#metrics.dropped('slow_client', 1);
        this.#slow.skip(membership);
      },
      tooSlow: (client) => this.#closeSlow(client),
      closed: (client) => this.remove(client),
      replied: (count) => this.#metrics.sent('reply', count),
    });
  }

  /** Connects the relay. @param receive takes what other replicas published, to be given to `deliver` */
  start(receive: (room: string, record: RelayRecord) => void = (room, record) => this.deliver(room, record)): Promise<void> {
    this.presence.start();
    return this.#relay.start(receive);
  }

  /** A new connection, known to the hub until `remove`. */
  add(id: string, identity: Identity, wire: Wire): Client {
    const client = new Client(id, identity, wire, this.#turn);
    this.#clients.add(client);
    return client;
  }

  /** Takes the connection out of all its rooms. Harmless when it is out already. */
  remove(client: Client): void {
    if (!this.#clients.delete(client)) return;
    client.closed = true;
    this.#slow.delete(client);
    for (const membership of client.rooms.values()) this.#leave(membership);
    for (const name of client.attached) {
      const room = this.#rooms.get(name);
      if (!room?.attached.delete(client)) continue;
      this.presence.tell(room, 'leave', client.identity, client.info);
      this.#forgetIfEmpty(room);
    }
    client.attached = [];
  }

  /** All connections of this replica, for counts and revocation. */
  clients(): Iterable<Client> {
    return this.#clients;
  }

  get connections(): Record<Identity['kind'], number> {
    const counts = { agent: 0, user: 0 };
    for (const { identity } of this.#clients) counts[identity.kind]++;
    return counts;
  }

  /** Sends a line to all people connected to this replica, whatever rooms they are in. */
  tell(text: string): void {
    for (const client of this.#clients) if (client.identity.kind === 'user') client.send(text);
  }

  get subscriptions(): number {
    let sum = 0;
    for (const room of this.#rooms.values()) sum += room.members.size;
    return sum;
  }

  /** Puts a record into the room: here and now, then on all other replicas. Never waits, never throws. */
  publish(name: string, record: RelayRecord): void {
    this.deliver(name, record);
    this.#relay.publish(name, record);
  }

  /** Hands a record to this replica's members of the room, in the order of its offsets. */
  deliver(name: string, record: RelayRecord): void {
    if (record.presence) return this.#elsewhere.heard(name, record);
    const room = this.#rooms.get(name);
    if (!room || room.members.size === 0) return;
    this.#delivery.deliver(room, record);
  }

  /** The rooms with subscribers here; how far each was delivered, once that is known. */
  *followed(): Generator<{ name: string; position: Position | undefined }> {
    for (const { name, members, order } of this.#rooms.values())
      if (members.size > 0) yield { name, position: order.known ? { offset: order.offset, epoch: order.epoch } : undefined };
  }

  /** Makes the connection a presence member without subscribing it. */
  attach(client: Client, name: string): void {
    if (client.closed) return;
    const room = this.#open(name);
    if (room.attached.has(client)) return;
    room.attached.add(client);
    client.attached.push(name);
    this.presence.tell(room, 'join', client.identity, client.info);
  }

  /**
   * Subscribes the connection. `reply` runs at the very moment it goes live: what it sends stands before the room's first push.
   * Refuses with 105 when already subscribed, 103 when the subscription was ended meanwhile; rejects when the stream is away.
   */
  async subscribe(client: Client, name: string, grant: Grant, wish: Wish, reply: (joined: Joined) => void): Promise<void> {
    if (client.closed) throw new Closing(closes.connectionClosed);
    if (client.rooms.has(name)) throw new Refusal(errors.alreadySubscribed);
    const room = this.#open(name);
    const membership = new Membership(client, room, grant);
    room.join(membership);
    if (room.members.size === 1) this.#follow(name);
    client.rooms.set(name, membership);
    room.stream = grant.stream;
    room.joinLeave = grant.joinLeave;

    try {
      const page = grant.stream && (await this.#read(grant.stream, name, wish));
      if (client.rooms.get(name) !== membership) throw new Refusal(errors.permissionDenied);
      // From here to `goLive` nothing may be awaited: what is published in between would be lost.
      const joined = page ? this.#begin(membership, wish, page) : { recovered: false, publications: [] };
      reply(grant.data ? { ...joined, data: grant.data() } : joined);
    } catch (error) {
      if (client.rooms.get(name) === membership) this.#leave(membership);
      throw error;
    }
    room.goLive(membership);
    membership.announced = this.presence.tell(room, 'join', client.identity, membership.info);
  }

  async #read(stream: Stream, name: string, wish: Wish): Promise<StreamPage> {
    const range: Range = wish.recover ? { since: wish.offset, limit: maxRecovered, epoch: wish.epoch || undefined } : { limit: 0 };
    // The relay is told of a new room in a microtask, which has to come before the reading.
    await Promise.resolve();
    return stream.read(name, range);
  }

  /** Where the subscription starts, by what was read and what the membership collected meanwhile. */
  #begin(membership: Membership, wish: Wish, read: StreamPage): Joined {
    const { order, stream } = membership.room;
    // What the stream does not have yet cannot be recovered, but must not be passed over in silence either.
    const { epoch, offset } = order;
    const page = order.isAheadOf(read.top) ? { top: { epoch, offset }, entries: epoch === read.top.epoch ? read.entries : [] } : read;
    const begun = start(wish, page, membership.collected ?? [], stream?.trustsAhead ?? false);
    if (wish.recover) this.#metrics.recovered(begun.recovered ? 'recovered' : 'unrecovered');
    if (wish.recover && wish.strict && !begun.recovered) throw new Refusal(errors.unrecoverablePosition);
    order.know(begun.position.epoch === page.top.epoch ? page.top : begun.position);
    membership.upTo = begun.upTo;
    return begun;
  }

  /** Ends a subscription, or one about to be; with `end` the client is told so. Harmless when there is none. */
  unsubscribe(client: Client, name: string, end?: EndCode): void {
    const membership = client.rooms.get(name);
    if (!membership) return;
    if (end) this.#end(membership, end);
    else this.#leave(membership);
  }

  /** Resolves when the client's queue is short enough for its next command, at once if it is. */
  writable(client: Client): Promise<void> | undefined {
    return client.isSlow ? this.#slow.wait(client) : undefined;
  }

  /** Writes what is due now rather than at the end of the turn. */
  flush(): void {
    this.#turn.flush();
  }

  /** Writes what is due and stops all timers; connections are the gateway's to close, the relay its maker's. */
  async close(): Promise<void> {
    this.#turn.close();
    this.#delivery.close();
    this.#slow.close();
    for (const room of this.#rooms.values()) room.stopWaiting();
    await Promise.resolve();
  }

  #closeSlow(client: Client): void {
    if (client.closed) return;
    this.#metrics.slowClosed();
    client.close(closes.slow);
  }

  #end(membership: Membership, end: EndCode): void {
    const { client, room } = membership;
    if (client.rooms.get(room.name) !== membership) return;
    client.send(encodeUnsubscribe(room.name, end));
    this.#leave(membership);
  }

  #leave(membership: Membership): void {
    const { client, room } = membership;
    room.leave(membership);
    client.rooms.delete(room.name);
    if (membership.state !== 'joining') this.presence.tell(room, 'leave', client.identity, membership.info, membership.announced);
    if (room.members.size === 0) {
      this.#follow(room.name);
      // Without members nobody keeps the position up to date.
      room.order = new Order();
      room.stopWaiting();
    }
    this.#forgetIfEmpty(room);
  }

  #open(name: string): Room {
    let room = this.#rooms.get(name);
    if (!room) {
      room = new Room(name, this.#turn, this.#metrics);
      this.#rooms.set(name, room);
    }
    return room;
  }

  #forgetIfEmpty(room: Room): void {
    if (room.isEmpty && this.#rooms.get(room.name) === room) this.#rooms.delete(room.name);
  }

  *#followedRooms(): Generator<string> {
    for (const { name, members } of this.#rooms.values()) if (members.size > 0) yield name;
  }

  /** Tells the relay that a room has members here now, or none any more, once for all changes of the same moment. */
  #follow(name: string): void {
    this.#changed.add(name);
    if (this.#changed.size > 1) return;
    queueMicrotask(() => {
      const changed = this.#changed;
      this.#changed = new Set();
      this.#relay.follow(this.#here, changed);
    });
  }
}
