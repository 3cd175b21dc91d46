/** The one line of text that a record is on its way between replicas, and in the recent samples of a host. */

import type { RelayRecord } from './relay.ts';

/** What an agent may send in a frame, and some room around it. */
const maxDataChars = 600_000;
const maxInfoChars = 16_384;
const epochShape = /^[\x21-\x7e]{1,64}$/;
const offsetShape = /^[1-9]\d{0,15}$/;
const traceShape = /^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/;
const fieldsBefore = 6;

/** Six fields and the data, a tab between: `replica, offset, epoch, info, presence, trace, data`; what is absent is empty. */
export function encodeRecord(replica: string, record: RelayRecord): string {
  const { offset = '', epoch = '', info = '', presence = '', trace = '', data } = record;
  return `${replica}\t${offset}\t${epoch}\t${info}\t${presence}\t${trace}\t${data}`;
}

/** Whether the replica wrote the line itself. */
export const isFrom = (line: string, replica: string): boolean => line.startsWith(replica) && line.charCodeAt(replica.length) === 9;

/** The `data` of a line, unchecked; undefined where there is none. */
export function dataOf(line: string): string | undefined {
  let at = 0;
  for (let field = 0; field < fieldsBefore; field++) {
    at = line.indexOf('\t', at) + 1;
    if (at === 0) return undefined;
  }
  return line.slice(at);
}

/**
 * The record, or undefined for a line that no replica of this hub writes. Whoever takes the record checks what `data` and `info` say: here
 * they are short enough and in one line.
 */
export function decodeRecord(line: string): RelayRecord | undefined {
  if (line.length > maxDataChars + maxInfoChars || line.includes('\n') || line.includes('\r')) return undefined;
  const data = dataOf(line);
  if (!data || data.length > maxDataChars) return undefined;
  const [, offset = '', epoch = '', info = '', presence = '', trace = ''] = line.slice(0, line.length - data.length - 1).split('\t');
  const record: RelayRecord = { data };
  if (offset !== '') {
    record.offset = Number(offset);
    if (!offsetShape.test(offset) || !Number.isSafeInteger(record.offset)) return undefined;
  }
  if (epoch !== '') {
    if (!epochShape.test(epoch)) return undefined;
    record.epoch = epoch;
  }
  if (info !== '') {
    if (info.length > maxInfoChars) return undefined;
    record.info = info;
  }
  if (presence !== '') {
    if (presence !== 'join' && presence !== 'leave') return undefined;
    record.presence = presence;
  }
  if (trace !== '') {
    if (!traceShape.test(trace)) return undefined;
    record.trace = trace;
  }
  return record;
}
