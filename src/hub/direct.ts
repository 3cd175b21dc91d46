/** Hands bytes straight to a socket's handle, past Node's streams, whose work around one write is a fifth of a delivery. */

import type { Socket } from 'node:net';

/** What a handle gives for bytes that the kernel did not take at once. */
interface WriteRequest {
  oncomplete: ((status: number) => void) | null;
  /** Keeps the bytes alive until then. */
  buffer: Buffer | null;
  async: boolean;
  /** Not null: completed before `oncomplete` could be set. */
  writeStatus: number | null;
}

/** 0: the kernel has all of it; another number: an error code of libuv. */
type Written = number | WriteRequest;

interface Handle {
  writeBuffer(request: null, bytes: Buffer): Written;
}

type HandleHolder = Socket & { _handle: Handle | null };

/** Whether handles of this Node work as described here; undefined until the first write has shown how its own streams use them. */
let asDescribed: boolean | undefined;

/**
 * Writes to an open socket whose stream holds nothing. True: the kernel took all of it at once; false: `done` is called later, with an
 * error if the socket cannot be written to. A Node with other handles gets the bytes through the stream's own `_write`.
 */
export function writeDirect(socket: Socket, bytes: Buffer, done: (error?: Error | null) => void): boolean {
  const { _handle: handle } = socket as HandleHolder;
  if (!asDescribed || handle === null) {
    if (asDescribed === undefined && handle) learn(handle);
    socket._write(bytes, 'buffer' as BufferEncoding, done);
    return false;
  }
  const written = handle.writeBuffer(null, bytes);
  if (written === 0) return true;
  if (typeof written === 'number') {
    done(new Error(`write failed with ${written}`));
    return false;
  }
  const { writeStatus } = written;
  const complete = (status: number): void => done(status < 0 ? new Error(`write failed with ${status}`) : null);
  written.async = true;
  written.buffer = bytes;
  written.oncomplete = complete;
  if (writeStatus !== null) complete(writeStatus);
  return false;
}

/** Looks at what Node hands to this handle next, and at what it gets. */
function learn(handle: Handle): void {
  const { writeBuffer } = handle;
  handle.writeBuffer = (request, bytes) => {
    handle.writeBuffer = writeBuffer;
    const written = writeBuffer.call(handle, request, bytes);
    asDescribed = request === null && (typeof written === 'number' || 'writeStatus' in written);
    return written;
  };
}
