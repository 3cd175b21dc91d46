/** One connection from its upgrade to its end: reads frames in order, runs commands one after another. */

import type { WebSocket } from 'ws';
import type { Client } from '../hub/client.ts';
import { textFrames } from '../hub/frame.ts';
import { Closing, Refusal } from '../hub/refusal.ts';
import { Wire } from '../hub/wire.ts';
import { newId } from '../lib/id.ts';
import { closes, errors, type EndCode } from '../protocol/codes.ts';
import type { ConnectRequest } from '../protocol/commands.ts';
import { parseFrame, type Command } from '../protocol/frames.ts';
import { encodeError, encodeReply } from '../protocol/replies.ts';
import { Allowance } from './allowance.ts';
import { Call } from './call.ts';
import { Deadlines } from './deadlines.ts';
import { handle, type Answer, type Later } from './handlers.ts';
import type { TakenSeat } from './limits.ts';
import type { Peer } from './policy.ts';
import { expiry, type Limit, type Services } from './services.ts';

/** The cap of inbound frames before connect. */
const maxFrameBytes = 64 * 1024;
/** Commands waiting for their turn, before reading pauses. */
const maxQueued = 64;

const tooBig: EndCode = { code: 1009, reason: 'message too big' };
const tooManyControls: EndCode = { code: 1008, reason: 'too many control frames' };

/** How `ws` names a message over the cap of `Wire.limitMessages`. */
const tooBigCode = 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH';

/** `refused`: the connect command got an error reply, nothing else is accepted. */
type State = 'new' | 'connecting' | 'connected' | 'refused' | 'closed';

interface Queued {
  command: Command;
  arrivedAt: number;
}

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
  #queue: Queued[] = [];
  #running = false;
  #fault: string | undefined;
  /** When the client had read what kept it from its next command. */
  #writableAt = 0;
  readonly #deadlines: Deadlines;

  constructor(services: Services, ws: WebSocket, peer: Peer, nativePings: boolean) {
    this.#services = services;
    this.#wire = new Wire(ws);
    this.#wire.limitMessages(maxFrameBytes);
    this.#peer = peer;
    this.#nativePings = nativePings;
    this.#deadlines = new Deadlines(services, nativePings);
  }

  /** Takes one WebSocket message. */
  read(data: Buffer, isBinary: boolean): void {
    this.#deadlines.heard();
    if (this.#isClosed || this.#fault !== undefined) return;
    // Without compression the wire has refused it already.
    if (data.length > (this.client?.identity.maxFrameBytes ?? maxFrameBytes)) return this.#limit('message_size', tooBig);
    if (this.#allowance?.takeFrame(data.length) === false) return this.#limit('message_bytes', closes.tooManyRequests);
    if (isBinary) return this.#refuse('binary frame');
    const { commands, pongs, fault, isTooDeep } = parseFrame(data.toString('utf8'), this.#services.maxDepth);
    for (let at = 0; at < pongs; at++) if (!this.#deadlines.tookPong()) return this.#refuse('pong without ping');
    if (isTooDeep) this.#services.metrics.dropped('nesting');
    const arrivedAt = performance.now();
    for (const command of commands) this.#queue.push({ command, arrivedAt });
    this.#fault = fault;
    this.#run();
    if (this.#queue.length >= maxQueued && !this.#wire.ws.isPaused) this.#wire.ws.pause();
  }

  /** Takes a ping or pong frame of the WebSocket itself. */
  readControl(isPong: boolean): void {
    if (!this.#deadlines.tookControl(isPong) && !this.#isClosed) this.#limit('control_frames', tooManyControls);
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
    const passed = this.#deadlines.passed(now, this.#wire, this.client);
    if (passed?.limit) this.#limit(passed.limit, passed.end);
    else if (passed) this.end(passed.end);
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

  /** Runs the queued commands one after another; behind one that takes its time, the rest when it is over. */
  #run(): void {
    if (this.#running) return;
    for (let next = this.#queue.shift(); next && !this.#isClosed; next = this.#queue.shift()) {
      const running = this.#begin(next);
      if (!running) continue;
      this.#running = true;
      void running.then(() => {
        this.#running = false;
        this.#run();
      });
      return;
    }
    if (this.#fault !== undefined) this.#refuse(this.#fault);
    else if (this.#wire.ws.isPaused) this.#wire.ws.resume();
  }

  /** Undefined: it is over already. What is returned never rejects. */
  #begin({ command, arrivedAt }: Queued): Promise<void> | undefined {
    const writable = this.client && this.#services.hub.writable(this.client);
    // The time that a client takes to read is its own.
    const lateAt = Math.max(arrivedAt, this.#writableAt) + this.#services.timings.commandMs;
    return writable ? this.#beginOnce(writable, command) : this.#execute(command, lateAt);
  }

  async #beginOnce(writable: Promise<void>, command: Command): Promise<void> {
    await writable;
    this.#writableAt = performance.now();
    if (!this.#isClosed) await this.#execute(command, this.#writableAt + this.#services.timings.commandMs);
  }

  /** The hub or the owner may have closed the client too. */
  get #isClosed(): boolean {
    return this.#state === 'closed' || this.client?.closed === true;
  }

  /** Undefined: it is answered already, or will be without holding up the next one. What is returned never rejects. */
  #execute(command: Command, lateAt: number): Promise<void> | undefined {
    this.#services.metrics.received(command.method);
    // Samples are too many: one in some is followed, by who takes it in.
    const isSample = command.method === 'publish' && this.client?.identity.kind === 'agent';
    const call = new Call(isSample ? undefined : this.#services.tracing, command.method, this.id);
    try {
      const handled = call.run(() => this.#handle(command, call, lateAt));
      if (handled instanceof Promise) return this.#finish(command, call, handled);
      if (handled) this.#reply(command, call, handled);
    } catch (error) {
      this.#fail(command, call, error);
    }
    call.end();
    return undefined;
  }

  #handle(command: Command, call: Call, lateAt: number): Promise<Answer | void> | Answer {
    if (command.method === 'connect') return this.#connect(command.id, command.request, (admitting) => call.within(lateAt, admitting));
    const { client } = this;
    if (!client) {
      this.#refuse('command before connect');
      return undefined;
    }
    if (command.refusal) throw new Refusal(command.refusal.error, command.refusal.message);
    if (this.#allowance?.takeCommand(command.method) === false) {
      this.#services.metrics.dropped('command');
      throw new Refusal(errors.tooManyRequests);
    }
    const handled = handle(this.#services, client, command, call);
    return handled instanceof Promise ? call.within(lateAt, handled) : handled;
  }

  async #finish(command: Command, call: Call, handled: Promise<Answer | void>): Promise<void> {
    try {
      const answer = await handled;
      if (answer) this.#reply(command, call, answer);
    } catch (error) {
      if (call.isLate) this.#services.metrics.error(command.method);
      this.#fail(command, call, error);
    }
    call.end();
  }

  #reply(command: Command, call: Call, answer: string | Later): void {
    if (typeof answer === 'string') return this.#send(answer);
    answer.later.then((result) => this.#send(answer.encode(result))).catch((error: unknown) => this.#fail(command, call, error));
  }

  /** Answers what a handler threw. */
  #fail({ id, method }: Command, call: Call, error: unknown): void {
    if (this.#isClosed) return;
    if (error instanceof Closing) {
      this.#services.log.debug({ client: this.id, method, why: error.message }, 'closing a connection');
      return this.end(error.end);
    }
    if (error instanceof Refusal) return this.#send(encodeError(id, error.error, error.message));
    this.#services.metrics.error(method);
    this.#services.log.error({ client: this.id, trace: call.trace, method, err: error }, 'a command failed');
    call.end(error);
    this.#send(encodeError(id, errors.internal));
  }

  #send(text: string): void {
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
    this.#deadlines.connected();
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
