/** Builds finished WebSocket text frames of a server: header and payload in one buffer, unmasked, shared by all readers. */

/** Payloads above this are split, because some clients refuse messages over 1 MiB. */
const splitBytes = 128 * 1024;

/** One or more finished frames, one behind the other. */
export interface Frames {
  /** As they go onto the wire. */
  bytes: Buffer;
  /** The payload alone of each, for connections whose frames are still to be compressed. */
  payloads: Buffer[];
}

/** Joins JSON texts by line breaks into as few text frames as their size allows (RFC 6455, section 5.2). */
export function textFrames(texts: readonly string[], from = 0): Frames {
  if (texts.length - from === 1) return single(texts[from]!);
  let length = 0;
  for (let at = from; at < texts.length; at++) length += texts[at]!.length;
  if (length <= splitBytes) return single((from === 0 ? texts : texts.slice(from)).join('\n'));

  const parts: Frames[] = [];
  let start = from;
  let size = 0;
  for (let at = from; at < texts.length; at++) {
    if (size > 0 && size + texts[at]!.length > splitBytes) {
      parts.push(single(texts.slice(start, at).join('\n')));
      start = at;
      size = 0;
    }
    size += texts[at]!.length;
  }
  parts.push(single(texts.slice(start).join('\n')));
  return { bytes: Buffer.concat(parts.map((part) => part.bytes)), payloads: parts.flatMap((part) => part.payloads) };
}

function single(text: string): Frames {
  const length = Buffer.byteLength(text);
  const header = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const bytes = Buffer.allocUnsafe(header + length);
  bytes[0] = 0x81;
  if (header === 2) {
    bytes[1] = length;
  } else if (header === 4) {
    bytes[1] = 126;
    bytes.writeUInt16BE(length, 2);
  } else {
    bytes[1] = 127;
    bytes.writeUInt32BE(0, 2);
    bytes.writeUInt32BE(length, 6);
  }
  bytes.write(text, header, 'utf8');
  return { bytes, payloads: [bytes.subarray(header)] };
}
