/** Reads whole text frames straight from the socket, past two streams and the receiver of `ws`, whose work costs more than a sample's. */

import { isUtf8 } from 'node:buffer';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import type { WebSocket } from 'ws';
import type { Internals } from './wire.ts';

const socketOf = Symbol('webSocket');
type Held = Socket & { [socketOf]?: WebSocket };

const open = 1;
/** A final frame of text that is not compressed (RFC 6455, section 5.2). */
const wholeText = 0x81;
const masked = 0x80;
const maskBytes = 4;

/**
 * Emits `message` for every frame that arrived whole and alone, as `ws` would; everything else (fragments, control frames, compressed,
 * broken or overlong ones, and what comes while the connection is paused or closing) goes to `ws`.
 */
export function readDirect(ws: WebSocket): void {
  const socket: Held = (ws as unknown as Internals)._socket;
  socket[socketOf] = ws;
  socket.push = push;
}

// Shared by all sockets, so that none of them holds a closure of its own.
function push(this: Held, chunk: Buffer | null, encoding?: BufferEncoding): boolean {
  const ws = this[socketOf];
  if (!chunk || !ws || !isIdle(ws, this)) return Readable.prototype.push.call(this, chunk, encoding);
  const message = wholeMessage(chunk, (ws as unknown as Internals)._receiver._maxPayload);
  if (!message) return Readable.prototype.push.call(this, chunk, encoding);
  ws.emit('message', message, false);
  return true;
}

/** Nothing of an earlier message is on its way, so that none is overtaken. */
function isIdle(ws: WebSocket, socket: Socket): boolean {
  const { _receiver: receiver } = ws as unknown as Internals;
  return (
    ws.readyState === open &&
    socket.readableFlowing === true &&
    socket.readableLength === 0 &&
    receiver._state === 0 &&
    receiver._fragmented === 0 &&
    receiver._bufferedBytes === 0 &&
    receiver.writableLength === 0 &&
    receiver.writable
  );
}

/** The payload of the one frame that the chunk is; undefined where it is anything else, with the chunk as it was. */
function wholeMessage(chunk: Buffer, maxBytes: number): Buffer | undefined {
  if (chunk.length < 2 + maskBytes || chunk[0] !== wholeText) return undefined;
  const short = chunk[1]! - masked;
  const lengthBytes = short === 126 ? 2 : 0;
  if (short < 1 || short > 126) return undefined;
  const from = 2 + lengthBytes + maskBytes;
  const length = lengthBytes === 0 ? short : chunk.readUInt16BE(2);
  if (length === 0 || length > maxBytes || chunk.length !== from + length) return undefined;
  unmask(chunk, from);
  const payload = chunk.subarray(from);
  if (isUtf8(payload)) return payload;
  unmask(chunk, from);
  return undefined;
}

/** Applies the mask before `from` to all that follows; a second time undoes it. */
function unmask(chunk: Buffer, from: number): void {
  const mask = chunk.readInt32LE(from - maskBytes);
  if (mask === 0) return;
  for (let at = from; at < chunk.length; at++) chunk[at]! ^= (mask >> (((at - from) & 3) << 3)) & 0xff;
}
