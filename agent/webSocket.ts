/** A WebSocket client over one upgraded HTTP request. */

import { createHash, randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { ask, type Answer } from './http.ts';
import { encodeFrame, FrameError, FrameReader, opcodes } from './wsFrames.ts';

// Node 20 has no WebSocket of its own, later ones bring all of fetch with it (some MB of memory) and offer no choice of compression.

const maxMessageBytes = 1024 * 1024;
const closeMs = 2_000;
const magic = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** Why a connection ended; 1006 where no close frame told. */
export interface End {
  code: number;
  reason: string;
}

export interface Listener {
  /** One text message; may throw to refuse it, which closes with 1002. */
  onText(text: string): void;
  /** Any sign of life, control frames too. */
  onAlive(): void;
  /** Exactly once. */
  onEnd(end: End): void;
}

/** An upgrade answered by something else, such as 403 or 503. */
export class UpgradeRefusal extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`the hub answered ${status} to the WebSocket request`);
    this.status = status;
  }
}

export class WebSocketClient {
  readonly #socket: Socket;
  readonly #deflate: boolean;
  readonly #listener: Listener;
  #closeTimer: NodeJS.Timeout | undefined;
  #end: End | undefined;
  #hasEnded = false;

  constructor(socket: Socket, deflate: boolean, listener: Listener) {
    this.#socket = socket;
    this.#deflate = deflate;
    this.#listener = listener;
    const reader = new FrameReader(maxMessageBytes, deflate);
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#receive(reader, chunk));
    socket.on('error', (error) => this.#finish({ code: 1006, reason: error.message }));
    socket.on('close', () => this.#finish({ code: 1006, reason: 'connection lost' }));
    socket.on('end', () => socket.end());
  }

  /** Bytes not yet taken by the system: whoever sends more than a little looks here first. */
  get waitingBytes(): number {
    return this.#socket.writableLength;
  }

  /** Bytes written in all, the handshake included. */
  get sentBytes(): number {
    return this.#socket.bytesWritten;
  }

  get receivedBytes(): number {
    return this.#socket.bytesRead;
  }

  send(text: string): void {
    if (!this.#end) this.#socket.write(encodeFrame(opcodes.text, Buffer.from(text), this.#deflate));
  }

  /** Says goodbye and waits a little for the answer. */
  close(code: number, reason: string): void {
    if (this.#end) return;
    this.#end = { code, reason };
    const payload = Buffer.alloc(2 + Buffer.byteLength(reason));
    payload.writeUInt16BE(code);
    payload.write(reason, 2);
    this.#socket.end(encodeFrame(opcodes.close, payload, false));
    this.#closeTimer = setTimeout(() => this.#socket.destroy(), closeMs);
  }

  /** Lets go at once, without a word: the other side does not answer any more. */
  abort(reason: string): void {
    this.#end ??= { code: 1006, reason };
    this.#socket.destroy();
  }

  #receive(reader: FrameReader, chunk: Buffer): void {
    try {
      for (const { opcode, payload } of reader.push(chunk)) this.#handle(opcode, payload);
    } catch (error) {
      this.close(error instanceof FrameError ? error.closeCode : 1002, 'broken frame');
    }
  }

  #handle(opcode: number, payload: Buffer): void {
    if (this.#end) return;
    this.#listener.onAlive();
    if (opcode === opcodes.ping) this.#socket.write(encodeFrame(opcodes.pong, payload, false));
    else if (opcode === opcodes.text) this.#listener.onText(payload.toString());
    else if (opcode === opcodes.binary) throw new FrameError(1003, 'binary message');
    else if (opcode === opcodes.close) {
      const told = payload.length >= 2;
      this.#end = { code: told ? payload.readUInt16BE() : 1005, reason: payload.subarray(2).toString() };
      this.#socket.end(encodeFrame(opcodes.close, payload.subarray(0, 2), false));
      this.#closeTimer = setTimeout(() => this.#socket.destroy(), closeMs);
    }
  }

  #finish(end: End): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    clearTimeout(this.#closeTimer);
    this.#socket.destroy();
    this.#listener.onEnd(this.#end ?? end);
  }
}

/** Connects to a `ws:` or `wss:` address. Rejects with `UpgradeRefusal` or the network's error; after that `onEnd` is called once. */
export async function openWebSocket(address: string, listener: Listener): Promise<WebSocketClient> {
  const url = new URL(address.replace(/^ws/, 'http'));
  const key = randomBytes(16).toString('base64');
  const answer = await ask(url, 'GET', {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-key': key,
    'sec-websocket-version': '13',
    'sec-websocket-extensions': 'permessage-deflate; client_no_context_takeover; server_no_context_takeover',
  });
  const { status, socket, rest } = answer;
  try {
    if (status !== 101) throw new UpgradeRefusal(status);
    const client = new WebSocketClient(socket, agreedOnDeflate(answer, key), listener);
    if (rest.length > 0) socket.unshift(rest);
    socket.resume();
    return client;
  } catch (error) {
    socket.on('error', () => {}).destroy();
    throw error;
  }
}

/** Throws where the answer is not that of a WebSocket server to this very request. */
function agreedOnDeflate({ headers }: Answer, key: string): boolean {
  const expected = createHash('sha1')
    .update(key + magic)
    .digest('base64');
  if (headers.get('sec-websocket-accept') !== expected) throw new Error('the answer to the WebSocket request does not match it');
  const extensions = headers.get('sec-websocket-extensions');
  if (extensions === undefined) return false;
  const [name, ...parameters] = extensions.split(';').map((part) => part.trim());
  // Without this the server would keep a window that this client does not keep.
  const fits = parameters.every((parameter) => parameter === 'client_no_context_takeover' || parameter === 'server_no_context_takeover');
  if (name !== 'permessage-deflate' || !parameters.includes('server_no_context_takeover') || !fits) {
    throw new Error('the hub chose a compression that was not offered');
  }
  return true;
}
