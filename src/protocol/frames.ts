/** Reads what clients send: the inbound half of the codec, the only code that knows frames are lines of JSON. */

import { hasProtoKey, nestsDeeper } from '../lib/json.ts';
import type { Method } from './commands.ts';
import { checks, type Checked } from './requests.ts';

/** A command as it came; `request` has the fields and types of its method. */
export type Command = { [M in Method]: { id: number; method: M } & Checked<M> }[Method];

export interface Inbound {
  commands: Command[];
  /** How many `{}` stood in the frame: answers to pings. */
  pongs: number;
  /** Why reading stopped; what stands before it in the frame counts. The connection is to be closed with 3501. */
  fault?: string;
  /** The fault is that a command nests too deep. */
  isTooDeep?: true;
}

export const methods = Object.keys(checks) as Method[];
const maxId = 2 ** 32 - 1;

/** Levels of arrays and objects in one command, `data` included. */
export const defaultMaxDepth = 32;

/** Reads one text frame: commands separated by single line breaks, one at the end tolerated. Never throws. */
export function parseFrame(text: string, maxDepth: number = defaultMaxDepth): Inbound {
  const inbound: Inbound = { commands: [], pongs: 0 };
  const body = text.endsWith('\n') ? text.slice(0, -1) : text;
  for (let from = 0; from <= body.length && inbound.fault === undefined;) {
    let end = body.indexOf('\n', from);
    if (end < 0) end = body.length;
    inbound.fault = parseLine(from === 0 && end === body.length ? body : body.slice(from, end), maxDepth, inbound);
    from = end + 1;
  }
  return inbound;
}

/** Adds the line to `into`, or returns what is wrong with it. */
function parseLine(line: string, maxDepth: number, into: Inbound): string | undefined {
  if (line === '{}') {
    into.pongs++;
    return undefined;
  }
  if (line.trim() === '') return 'blank line';
  if (nestsDeeper(line, maxDepth)) {
    into.isTooDeep = true;
    return `nested deeper than ${maxDepth}`;
  }
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    return `broken JSON: ${(error as Error).message.slice(0, 80)}`;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'not an object';
  if ((line.includes('__proto__') || line.includes('\\u')) && hasProtoKey(value)) return 'key __proto__';
  return parseCommand(value as Record<string, unknown>, into);
}

function parseCommand(value: Record<string, unknown>, into: Inbound): string | undefined {
  let method: Method | undefined;
  let any = false;
  for (const key in value) {
    any = true;
    if (key !== 'id' && Object.hasOwn(checks, key)) {
      method = key as Method;
      break;
    }
  }
  if (!any) {
    into.pongs++;
    return undefined;
  }
  if (method === undefined) return 'unknown command';
  const id = value.id ?? 0;
  if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id > maxId) return 'id is not an integer of 32 bits';
  if (id === 0 && method !== 'send') return 'command without id';
  const request = value[method];
  if (typeof request !== 'object' || request === null || Array.isArray(request)) return `${method} is not an object`;
  const fault = checks[method](request as Record<string, unknown>);
  if (fault !== undefined && typeof fault === 'string') return fault;
  into.commands.push({ id, method, request, refusal: fault } as unknown as Command);
  return undefined;
}
