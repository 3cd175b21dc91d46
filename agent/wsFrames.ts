/** Builds and takes apart WebSocket frames as a client does (RFC 6455, section 5; RFC 7692 without context takeover). */

import { randomFillSync } from 'node:crypto';
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';

export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** Below this, deflate costs more than it saves. */
const deflateFromBytes = 256;
/** A sample is some kilobytes: a small window and little memory are enough for it. */
const deflateOptions = { level: 6, windowBits: 13, memLevel: 6, chunkSize: 4096, finishFlush: constants.Z_SYNC_FLUSH };
/** What a sync flush ends with, which the extension leaves out on the wire. */
const tail = Buffer.from([0, 0, 0xff, 0xff]);

/** A protocol violation by the server, with the close code that says so. */
export class FrameError extends Error {
  readonly closeCode: number;

  constructor(closeCode: number, message: string) {
    super(message);
    this.closeCode = closeCode;
  }
}

/** One masked frame, ready for the socket. `deflate`: compress if that is worth it. */
export function encodeFrame(opcode: number, payload: Buffer, deflate: boolean): Buffer {
  let body = payload;
  let first = 0x80 | opcode;
  if (deflate && payload.length >= deflateFromBytes) {
    const deflated = deflateRawSync(payload, deflateOptions);
    body = deflated.subarray(0, deflated.length - tail.length);
    first |= 0x40;
  }
  const lengthBytes = body.length < 126 ? 0 : body.length < 65_536 ? 2 : 8;
  const frame = Buffer.allocUnsafe(2 + lengthBytes + 4 + body.length);
  frame[0] = first;
  if (lengthBytes === 0) frame[1] = 0x80 | body.length;
  else if (lengthBytes === 2) {
    frame[1] = 0x80 | 126;
    frame.writeUInt16BE(body.length, 2);
  } else {
    frame[1] = 0x80 | 127;
    frame.writeBigUInt64BE(BigInt(body.length), 2);
  }
  const mask = frame.subarray(2 + lengthBytes, 6 + lengthBytes);
  randomFillSync(mask);
  const masked = frame.subarray(6 + lengthBytes);
  for (let index = 0; index < body.length; index += 1) masked[index] = body[index]! ^ mask[index & 3]!;
  return frame;
}

export interface Message {
  opcode: number;
  payload: Buffer;
}

interface Header {
  isLast: boolean;
  isDeflated: boolean;
  opcode: number;
  length: number;
  headerBytes: number;
}

/** Puts the server's bytes together into messages and control frames; throws `FrameError` at the first violation. */
export class FrameReader {
  readonly #maxBytes: number;
  readonly #mayDeflate: boolean;
  #pending: Buffer = Buffer.alloc(0);
  #parts: Buffer[] = [];
  #partsBytes = 0;
  #first: Header | undefined;

  constructor(maxBytes: number, mayDeflate: boolean) {
    this.#maxBytes = maxBytes;
    this.#mayDeflate = mayDeflate;
  }

  push(chunk: Buffer): Message[] {
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    const messages: Message[] = [];
    for (;;) {
      const header = this.#header();
      if (!header || this.#pending.length < header.headerBytes + header.length) return messages;
      const payload = this.#pending.subarray(header.headerBytes, header.headerBytes + header.length);
      this.#pending = this.#pending.subarray(header.headerBytes + header.length);
      const message = header.opcode >= opcodes.close ? { opcode: header.opcode, payload } : this.#part(header, payload);
      if (message) messages.push(message);
    }
  }

  #header(): Header | undefined {
    const bytes = this.#pending;
    if (bytes.length < 2) return undefined;
    const [first, second] = [bytes[0]!, bytes[1]!];
    const opcode = first & 0x0f;
    const header = { isLast: (first & 0x80) !== 0, isDeflated: (first & 0x40) !== 0, opcode, length: second & 0x7f, headerBytes: 2 };
    const isControl = opcode >= opcodes.close;
    if (second & 0x80) throw new FrameError(1002, 'masked frame');
    if (first & 0x30 || (opcode > opcodes.binary && !isControl) || opcode > opcodes.pong) throw new FrameError(1002, 'reserved bits');
    if (isControl && (!header.isLast || header.length > 125 || header.isDeflated)) throw new FrameError(1002, 'broken control frame');
    if (header.isDeflated && (!this.#mayDeflate || opcode === opcodes.continuation)) throw new FrameError(1002, 'unexpected compression');
    if (header.length === 126) {
      if (bytes.length < 4) return undefined;
      header.length = bytes.readUInt16BE(2);
      header.headerBytes = 4;
    } else if (header.length === 127) {
      if (bytes.length < 10) return undefined;
      header.length = Number(bytes.readBigUInt64BE(2));
      header.headerBytes = 10;
    }
    if (!isControl && header.length + this.#partsBytes > this.#maxBytes) throw new FrameError(1009, 'message too large');
    return header;
  }

  #part(header: Header, payload: Buffer): Message | undefined {
    if ((header.opcode === opcodes.continuation) !== (this.#first !== undefined)) throw new FrameError(1002, 'fragments out of order');
    this.#first ??= header;
    // A copy: the chunk it came in may be large and should be let go.
    this.#parts.push(header.isLast && this.#parts.length === 0 ? payload : Buffer.from(payload));
    this.#partsBytes += payload.length;
    if (this.#parts.length > 4096) throw new FrameError(1009, 'too many fragments');
    if (!header.isLast) return undefined;
    const { opcode, isDeflated } = this.#first;
    const whole = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts);
    this.#first = undefined;
    this.#parts = [];
    this.#partsBytes = 0;
    return { opcode, payload: isDeflated ? this.#inflate(whole) : whole };
  }

  #inflate(deflated: Buffer): Buffer {
    try {
      return inflateRawSync(Buffer.concat([deflated, tail]), { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: this.#maxBytes });
    } catch (error) {
      const tooLarge = (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';
      throw new FrameError(tooLarge ? 1009 : 1007, tooLarge ? 'message too large' : 'broken compression');
    }
  }
}
