/** With inbound.ts the only place that reaches behind `ws`: writes finished frames straight to the connection's socket. */

import type { Socket } from 'node:net';
import type { ServerResponse } from 'node:http';
import { Duplex, Writable } from 'node:stream';
import type { WebSocket, WebSocketServer } from 'ws';
import type { EndCode } from '../protocol/codes.ts';
import { writeDirect } from './direct.ts';
import type { Frames } from './frame.ts';

/** What is used of `ws` beyond its documented interface; `checkInternals` proves that it is there. */
export interface Internals {
  _socket: Socket & { _httpMessage?: ServerResponse | null };
  _receiver: Writable & { _state: number; _fragmented: number; _bufferedBytes: number; _maxPayload: number };
}

const open = 1;
/** Far below the cap of a slow client, so that its 'drain' always comes from the stream's queue. */
const maxDirectBytes = 16 * 1024;
/** States of ws' receiver in which it waits for its own work, not for the peer: inflating, deferring an event. */
const inflating = 5;

export class Wire {
  readonly ws: WebSocket;
  /** Undefined where frames are compressed one by one: then `ws` has to write them. */
  readonly #raw: Socket | undefined;
  readonly #socket: Socket;
  #drained: (() => void) | undefined;
  /** Of the frame that went past the stream; 0 as soon as the kernel has it. */
  #directBytes = 0;
  /** What waits for `uncork`. */
  #gathered: Buffer[] | undefined;
  #gatheredBytes = 0;
  readonly #written = (error?: Error | null): void => {
    this.#directBytes = 0;
    if (error) this.#socket.destroy(error);
  };

  constructor(ws: WebSocket) {
    const inside = ws as unknown as Internals;
    this.ws = ws;
    this.#socket = inside._socket;
    this.#raw = ws.extensions === '' ? inside._socket : undefined;
  }

  get isOpen(): boolean {
    return this.ws.readyState === open;
  }

  /** Refuses longer messages at their header, with close 1009; compressed ones by their length on the wire. */
  limitMessages(bytes: number): void {
    (this.ws as unknown as Internals)._receiver._maxPayload = bytes;
  }

  /** Bytes accepted and not yet taken by the kernel. */
  get queuedBytes(): number {
    return this.#raw ? this.#raw.writableLength + this.#directBytes + this.#gatheredBytes : this.ws.bufferedAmount;
  }

  write(frames: Frames): void {
    if (this.ws.readyState !== open) return;
    if (this.#gathered) {
      this.#gathered.push(frames.bytes);
      this.#gatheredBytes += frames.bytes.length;
    } else if (this.#raw) {
      this.#writeRaw(this.#raw, frames.bytes);
    } else {
      for (const payload of frames.payloads) this.ws.send(payload, { binary: false });
    }
  }

  /**
   * With nothing before it, a small frame skips the stream, whose work costs a fifth of a delivery (docs/performance.md).
   * One at a time: behind a frame that the kernel did not take at once, the stream's queue counts what follows.
   */
  #writeRaw(socket: Socket, bytes: Buffer): void {
    if (this.#directBytes > 0 || socket.writableLength > 0 || bytes.length > maxDirectBytes) {
      socket.write(bytes);
      return;
    }
    this.#directBytes = bytes.length;
    if (writeDirect(socket, bytes, this.#written)) this.#directBytes = 0;
  }

  /** Until `uncork`, writes are gathered into one: copying a few kilobytes costs less than the stream's own corking of so many chunks. */
  cork(): void {
    if (this.#raw) this.#gathered ??= [];
  }

  uncork(): void {
    const gathered = this.#gathered;
    if (!gathered || !this.#raw) return;
    const bytes = gathered.length === 1 ? gathered[0]! : Buffer.concat(gathered, this.#gatheredBytes);
    this.#gathered = undefined;
    this.#gatheredBytes = 0;
    if (bytes.length > 0 && this.isOpen) this.#writeRaw(this.#raw, bytes);
  }

  /** Calls `then` when the socket has taken all that it was given; called again before that, only the last `then` counts. */
  onceDrained(then: () => void): void {
    if (!this.#drained) {
      this.#socket.once('drain', () => {
        const drained = this.#drained;
        this.#drained = undefined;
        drained?.();
      });
    }
    this.#drained = then;
  }

  /** Starts the closing handshake; `ws` cuts the connection if the peer does not answer within its `closeTimeout`. */
  close(end: EndCode): void {
    this.ws.close(end.code, end.reason);
  }

  /** The peer began a message and has not finished it. */
  get isMidMessage(): boolean {
    const receiver = (this.ws as unknown as Internals)._receiver;
    return receiver._state < inflating && (receiver._fragmented !== 0 || receiver._state !== 0 || receiver._bufferedBytes !== 0);
  }
}

/** Lets go of the upgrade's request and reply, which listeners on the socket would keep in memory as long as the connection lives. */
export function releaseUpgrade(ws: WebSocket): void {
  const { _socket: socket } = ws as unknown as Internals;
  ws.removeAllListeners('error');
  socket._httpMessage?.detachSocket(socket);
}

/** Proves at start that the internals used here exist; throws with what to do if an update of `ws` moved them. */
export function checkInternals(server: WebSocketServer): void {
  const { WebSocket: Class } = server.options as { WebSocket?: new (address: null, protocols: undefined, options: object) => Probe };
  if (!Class) throw new Error(moved);
  const probe = new Class(null, undefined, server.options);
  const duplex = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
  probe.setSocket(duplex, Buffer.alloc(0), { maxPayload: 1 });
  const { _socket: socket, _receiver: receiver } = probe as unknown as Internals;
  const known =
    (socket as unknown) === duplex &&
    receiver instanceof Writable &&
    receiver._maxPayload === 1 &&
    [receiver._state, receiver._fragmented, receiver._bufferedBytes].every((part) => part === 0);
  probe.on('error', () => undefined);
  probe.terminate();
  if (!known) throw new Error(moved);
}

type Probe = WebSocket & { setSocket(socket: Duplex, head: Buffer, options: object): void };
const moved = 'this version of ws hides what src/hub/wire.ts needs: pin ws 8.23, or adapt that file';
