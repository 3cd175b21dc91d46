/** Writes and reads the small values that chunks are made of. */

/** A chunk that cannot be what was written: damaged, cut short, or of a newer format. */
export class ChunkError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(`corrupt chunk: ${message}`, options);
    this.name = 'ChunkError';
  }
}

/** Grows as needed; whole numbers are written in 7-bit groups, the lowest first. */
export class ByteWriter {
  #buffer = Buffer.allocUnsafe(16 * 1024);
  #length = 0;

  byte(value: number): void {
    this.#reserve(1);
    this.#buffer[this.#length++] = value;
  }

  /** 0 … 2^53 − 1. */
  varint(value: number): void {
    this.#reserve(8);
    let rest = value;
    while (rest > 0x7fffffff) {
      this.#buffer[this.#length++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    while (rest > 127) {
      this.#buffer[this.#length++] = (rest & 127) | 128;
      rest >>>= 7;
    }
    this.#buffer[this.#length++] = rest;
  }

  /** −2^52 … 2^52 − 1, small ones of either sign in few bytes. */
  signed(value: number): void {
    this.varint(zigzag(value));
  }

  bytes(data: Uint8Array): void {
    this.#reserve(data.length);
    this.#buffer.set(data, this.#length);
    this.#length += data.length;
  }

  text(value: string): void {
    const data = Buffer.from(value, 'utf8');
    this.varint(data.length);
    this.bytes(data);
  }

  /** What was written so far; valid until the next write. */
  done(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(2 * (this.#buffer.length + bytes));
    larger.set(this.done());
    this.#buffer = larger;
  }
}

/** The reverse; every read checks that the bytes are there. */
export class ByteReader {
  readonly #data: Uint8Array;
  #at = 0;

  constructor(data: Uint8Array) {
    this.#data = data;
  }

  get left(): number {
    return this.#data.length - this.#at;
  }

  byte(): number {
    if (this.#at >= this.#data.length) throw new ChunkError('it ends too early');
    return this.#data[this.#at++]!;
  }

  varint(): number {
    // Most fit one byte, and charts read millions.
    const first = this.#data[this.#at];
    if (first !== undefined && first < 128) {
      this.#at++;
      return first;
    }
    let byte = this.byte();
    let value = byte & 127;
    for (let factor = 128; ; factor *= 128) {
      if (factor > 2 ** 49) throw new ChunkError('a number is too long');
      byte = this.byte();
      value += (byte & 127) * factor;
      if (byte < 128) break;
    }
    if (value > Number.MAX_SAFE_INTEGER) throw new ChunkError('a number is too large');
    return value;
  }

  signed(): number {
    return unzigzag(this.varint());
  }

  /** A count of things that take at least `leastBytes` each: a damaged one cannot ask for more memory than there is data. */
  count(leastBytes: number): number {
    const count = this.varint();
    if (count * leastBytes > this.left) throw new ChunkError('it counts more than it holds');
    return count;
  }

  bytes(length: number): Uint8Array {
    if (length > this.left) throw new ChunkError('it ends too early');
    this.#at += length;
    return this.#data.subarray(this.#at - length, this.#at);
  }

  text(): string {
    return Buffer.from(this.bytes(this.count(1))).toString('utf8');
  }

  /** Passes over so many varints. */
  skip(varints: number): void {
    const data = this.#data;
    let at = this.#at;
    for (let left = varints; left > 0; at++) {
      if (at >= data.length) throw new ChunkError('it ends too early');
      if (data[at]! < 128) left--;
    }
    this.#at = at;
  }

  end(): void {
    if (this.left > 0) throw new ChunkError(`${this.left} bytes too many`);
  }
}

export const zigzag = (value: number): number => (value < 0 ? -2 * value - 1 : 2 * value);
const unzigzag = (value: number): number =>
  value < 2 ** 31 ? (value >>> 1) ^ -(value & 1) : value % 2 === 1 ? -(value + 1) / 2 : value / 2;
