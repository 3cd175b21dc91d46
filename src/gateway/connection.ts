/** One connection from its upgrade to its end: reads frames in order, runs commands one after another, keeps its deadlines. */

import type { WebSocket } from 'ws';
import type { Client } from '../hub/client.ts';
import { textFrames } from '../hub/frame.ts';
import { Closing, Refusal } from '../hub/refusal.ts';
import { Wire } from '../hub/wire.ts';
import { newId } from '../lib/id.ts';
import { closes, errors, unsubscribes, type EndCode } from '../protocol/codes.ts';
import type { ConnectRequest } from '../protocol/commands.ts';
import { parseFrame, type Command } from '../protocol/frames.ts';
import { encodeError, encodeReply, ping } from '../protocol/replies.ts';
import { Allowance } from './allowance.ts';
import { Call } from './call.ts';
import { handle } from './handlers.ts';
import type { TakenSeat } from './limits.ts';
import type { Peer } from './policy.ts';
import { expiry, type Limit, type Services } from './services.ts';

/** The cap of inbound frames before connect. */
const maxFrameBytes = 64 * 1024;
/** Commands waiting for their turn, before reading pauses. */
const maxQueued = 64;
/** Ping and pong frames of the WebSocket itself that a peer may send within `controlWindowMs`. */
const maxControlFrames = 100;
const controlWindowMs = 10_000;

const tooBig: EndCode = { code: 1009, reason: 'message too big' };
const tooSlowMessage: EndCode = { code: 1008, reason: 'message not finished in time' };
const tooManyControls: EndCode = { code: 1008, reason: 'too many control frames' };

/** How `ws` names a message over the cap of `Wire.limitMessages`. */
const tooBigCode = 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH';

const pingFrame = textFrames([ping]);

/** `refused`: the connect command got an error reply, nothing else is accepted. */
type State = 'new' | 'connecting' | 'connected' | 'refused' | 'closed';

export class Connection {
  client: Client | undefined;
  readonly id = newId();
  readonly #services: Services;
  readonly #wire: Wire;
  /** Given up once connected. */
  #peer: Peer | undefined;
  readonly #nativePings: boolean;
  /** From connect on. */
  #allowance: Allowance | undefined;
  #seat: TakenSeat | undefined;
  #state: State = 'new';
  #queue: { command: Command; arrivedAt: number }[] = [];
  #running = false;
  #fault: string | undefined;
  /** All deadlines are in `performance.now()`; 0: none. */
  readonly #staleAt: number;
  #nextPingAt = 0;
  #pongBy = 0;
  #midMessageSince = 0;
  #controlFrames = 0;
  #controlWindowEnds = 0;

  constructor(services: Services, ws: WebSocket, peer: Peer, nativePings: boolean) {
    this.#services = services;
    this.#wire = new Wire(ws);
    this.#wire.limitMessages(maxFrameBytes);
    this.#peer = peer;
    this.#nativePings = nativePings;
    this.#staleAt = performance.now() + services.timings.staleMs;
  }

  /** Takes one WebSocket message. */
  read(data: Buffer, isBinary: boolean): void {
    this.#midMessageSince = 0;
    if (this.#isClosed || this.#fault !== undefined) return;
    // Without compression the wire has refused it already.
    if (data.length > (this.client?.identity.maxFrameBytes ?? maxFrameBytes)) return this.#limit('message_size', tooBig);
    if (this.#allowance?.takeFrame(data.length) === false) return this.#limit('message_bytes', closes.tooManyRequests);
    if (isBinary) return this.#refuse('binary frame');
    const { commands, pongs, fault, isTooDeep } = parseFrame(data.toString('utf8'), this.#services.maxDepth);
    for (let at = 0; at < pongs; at++) if (!this.#tookPong()) return this.#refuse('pong without ping');
    if (isTooDeep) this.#services.metrics.dropped('nesting');
    const arrivedAt = performance.now();
    for (const command of commands) this.#queue.push({ command, arrivedAt });
    this.#fault = fault;
    void this.#run();
    if (this.#queue.length >= maxQueued && !this.#wire.ws.isPaused) this.#wire.ws.pause();
  }

  /** Takes a ping or pong frame of the WebSocket itself. */
  readControl(isPong: boolean): void {
    if (isPong && this.#nativePings) this.#pongBy = 0;
    const now = performance.now();
    if (now > this.#controlWindowEnds) {
      this.#controlWindowEnds = now + controlWindowMs;
      this.#controlFrames = 0;
    }
    if (++this.#controlFrames > maxControlFrames && !this.#isClosed) this.#limit('control_frames', tooManyControls);
  }

  /** The peer broke a rule of the WebSocket protocol, or the socket failed; the close follows by itself. */
  failed({ code }: NodeJS.ErrnoException): void {
    if (code === tooBigCode) this.#services.metrics.dropped('message_size');
  }

  /** Closes the connection, before or after it connected. */
  end(end: EndCode): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#queue = [];
    if (this.client) this.client.close(end);
    else this.#wire.close(end);
    // A paused socket would never see the answer to the close frame.
    if (this.#wire.ws.isPaused) this.#wire.ws.resume();
  }

  terminate(): void {
    this.#wire.ws.terminate();
  }

  /** The socket is gone. */
  closed(): void {
    this.#state = 'closed';
    this.#queue = [];
    const { client } = this;
    if (!client) return;
    this.client = undefined;
    const { hub, policy } = this.#services;
    hub.remove(client);
    this.#seat?.leave();
    try {
      policy.disconnected(client);
    } catch (error) {
      this.#services.metrics.error('disconnected');
      this.#services.log.error({ client: this.id, err: error }, 'what follows a disconnection failed');
    }
  }

  /** Keeps the deadlines. @param now `performance.now()` */
  tick(now: number): void {
    if (this.#state === 'closed') return;
    const { timings, clock, hub } = this.#services;
    const paused = this.#wire.ws.isPaused;
    if (!paused && this.#wire.isMidMessage) {
      this.#midMessageSince ||= now;
      if (now - this.#midMessageSince >= timings.messageMs) return this.#limit('message_time', tooSlowMessage);
    } else {
      this.#midMessageSince = 0;
    }
    const { client } = this;
    if (!client) return now >= this.#staleAt ? this.end(closes.stale) : undefined;
    if (client.closed) return;
    // Who is not read from cannot answer, and who reads slowly has not seen the ping yet; the rule for slow clients decides there.
    if (this.#pongBy > 0 && now >= this.#pongBy && !paused && !client.isSlow) return this.end(closes.noPong);
    if (now >= this.#nextPingAt) this.#ping(now);

    const time = clock.now() - timings.expiryGraceMs;
    if (client.identity.expiresAt !== undefined && time >= client.identity.expiresAt) return this.end(closes.expired);
    for (const [name, { expiresAt }] of client.rooms) {
      if (expiresAt !== undefined && time >= expiresAt) hub.unsubscribe(client, name, unsubscribes.expired);
    }
  }

  #ping(now: number): void {
    const { pingIntervalMs, pongWithinMs } = this.#services.timings;
    this.#nextPingAt = now + pingIntervalMs;
    if (this.#pongBy > 0) return;
    this.#pongBy = now + pongWithinMs;
    if (this.#nativePings) this.#wire.ws.ping();
    else this.client?.write(pingFrame);
  }

  #tookPong(): boolean {
    if (this.#pongBy === 0 || this.#nativePings) return false;
    this.#pongBy = 0;
    return true;
  }

  #refuse(why: string): void {
    this.#services.log.debug({ client: this.id, why }, 'closing a connection for a bad request');
    this.end(closes.badRequest);
  }

  /** Closes the connection for a limit it reached. */
  #limit(limit: Limit, end: EndCode): void {
    this.#services.metrics.dropped(limit);
    this.end(end);
  }

  /** Runs the queued commands one after another; never rejects. */
  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    let writableAt = 0;
    for (let next = this.#queue.shift(); next; next = this.#queue.shift()) {
      const writable = this.client && this.#services.hub.writable(this.client);
      if (writable) {
        await writable;
        writableAt = performance.now();
      }
      if (this.#isClosed) break;
      // The time that a client takes to read is its own.
      await this.#execute(next.command, Math.max(next.arrivedAt, writableAt) + this.#services.timings.commandMs);
    }
    this.#running = false;
    if (this.#fault !== undefined) this.#refuse(this.#fault);
    else if (this.#wire.ws.isPaused) this.#wire.ws.resume();
  }

  /** The hub or the owner may have closed the client too. */
  get #isClosed(): boolean {
    return this.#state === 'closed' || this.client?.closed === true;
  }

  async #execute(command: Command, lateAt: number): Promise<void> {
    this.#services.metrics.received(command.method);
    const { client } = this;
    // Samples are too many: one in some is followed, by who takes it in.
    const isSample = command.method === 'publish' && client?.identity.kind === 'agent';
    const call = new Call(isSample ? undefined : this.#services.tracing, command.method, this.id);
    try {
      if (command.method === 'connect')
        return await call.run(() => this.#connect(command.id, command.request, (admitting) => call.within(lateAt, admitting)));
      if (!client) return this.#refuse('command before connect');
      if (command.refusal) throw new Refusal(command.refusal.error, command.refusal.message);
      if (this.#allowance?.takeCommand(command.method) === false) {
        this.#services.metrics.dropped('command');
        throw new Refusal(errors.tooManyRequests);
      }
      const handled = call.run(() => handle(this.#services, client, command, call));
      const answer = handled instanceof Promise ? await call.within(lateAt, handled) : handled;
      if (typeof answer === 'string') client.send(answer);
      else if (answer) answer.later.then((text) => client.send(text)).catch((error: unknown) => this.#fail(command, call, error));
    } catch (error) {
      if (call.isLate) this.#services.metrics.error(command.method);
      this.#fail(command, call, error);
    } finally {
      call.end();
    }
  }

  /** Answers what a handler threw. */
  #fail({ id, method }: Command, call: Call, error: unknown): void {
    if (this.#isClosed) return;
    if (error instanceof Closing) {
      this.#services.log.debug({ client: this.id, method, why: error.message }, 'closing a connection');
      return this.end(error.end);
    }
    if (error instanceof Refusal) return this.#answer(encodeError(id, error.error, error.message));
    this.#services.metrics.error(method);
    this.#services.log.error({ client: this.id, trace: call.trace, method, err: error }, 'a command failed');
    call.end(error);
    this.#answer(encodeError(id, errors.internal));
  }

  #answer(text: string): void {
    if (this.client) this.client.send(text);
    else this.#wire.write(textFrames([text]));
  }

  async #connect(id: number, request: ConnectRequest, inTime: <T>(handled: Promise<T>) => Promise<T>): Promise<void> {
    const { hub, policy, clock, rates, seats, timings, version } = this.#services;
    const peer = this.#peer;
    if (this.#state !== 'new' || !peer)
      return this.#refuse(this.#state === 'refused' ? 'command after a refused connect' : 'second connect');
    this.#state = 'connecting';
    let admission;
    try {
      admission = await inTime(policy.connect(request, peer));
    } catch (error) {
      if (this.#isClosed) return;
      this.#state = 'refused';
      // What came in the same frame was sent before its sender could know.
      this.#queue = [];
      throw error;
    }
    if (this.#isClosed || !this.#wire.isOpen) return;
    const { identity, data } = admission;
    const seat = identity.kind === 'user' ? seats.take(identity.user, peer.address) : undefined;
    if (identity.kind === 'user' && !seat) return this.#limit('connection', closes.connectionLimit);
    this.#seat = seat;
    this.#wire.limitMessages(identity.maxFrameBytes);
    this.#peer = undefined;
    this.#allowance = new Allowance(identity.kind, rates);
    const client = hub.add(this.id, identity, this.#wire);
    this.client = client;
    this.#nextPingAt = performance.now() + timings.pingIntervalMs * (0.5 + Math.random() / 2);
    // Known to the hub already, so that it ends here too if its session ends meanwhile.
    const confirmed = seat?.confirm();
    if (confirmed && !(await confirmed)) return this.#limit('connection', closes.connectionLimit);
    if (this.#isClosed) return;
    this.#state = 'connected';
    const pings = this.#nativePings ? {} : { ping: Math.max(1, Math.round(timings.pingIntervalMs / 1000)), pong: true as const };
    client.send(
      encodeReply(id, 'connect', { client: this.id, version, ...expiry(identity.expiresAt, clock), data, ...pings, time: clock.now() }),
    );
    policy.connected(client);
  }
}
