/** Cheap checks of JSON text before and beside `JSON.parse`. */

const quote = 0x22;
const backslash = 0x5c;

/** Whether arrays and objects nest deeper than `limit`; a single pass that never recurses, for any text, valid or not. */
export function nestsDeeper(text: string, limit: number): boolean {
  // An opening bracket is needed for each level: short texts cannot be deep.
  if (text.length <= limit) return false;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === quote) {
      at = endOfString(text, at + 1);
    } else if (code === 0x7b || code === 0x5b) {
      if (++depth > limit) return true;
    } else if (code === 0x7d || code === 0x5d) {
      depth--;
    }
  }
  return false;
}

/** The index of the quote that closes the string whose first character stands at `start`; the text's end if none does. */
function endOfString(text: string, start: number): number {
  let at = start;
  for (;;) {
    const end = text.indexOf('"', at);
    if (end < 0) return text.length;
    let escapes = end;
    while (escapes > start && text.charCodeAt(escapes - 1) === backslash) escapes--;
    if ((end - escapes) % 2 === 0) return end;
    at = end + 1;
  }
}

/** A value that is JSON text in one line already, for encoders that can put it in as it is. */
export class JsonText {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  /** For all others. */
  toJSON(): unknown {
    return JSON.parse(this.text);
  }
}

/** Whether an object somewhere in `value` has the own key `__proto__`, which copying code would take for the prototype. */
export function hasProtoKey(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (Object.hasOwn(value, '__proto__')) return true;
  for (const inner of Object.values(value)) if (hasProtoKey(inner)) return true;
  return false;
}

/** JSON text without raw line breaks, which valid JSON has only as white space between its parts. */
export const oneLine = (json: string): string => (json.includes('\n') || json.includes('\r') ? json.replace(/[\r\n]+/g, ' ') : json);

/** What the text says; undefined where it is no JSON. */
export function tryParse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
