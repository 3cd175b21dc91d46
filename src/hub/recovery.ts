/** Decides what a subscription starts from: recovered without a hole, or fresh at the newest position. Pure. */

import type { Position } from '../protocol/commands.ts';
import type { RelayRecord } from '../relay/relay.ts';
import type { StreamEntry, StreamPage } from './stream.ts';

/** A recovery is all or nothing, and nothing if it would need more than this. */
export const maxRecovered = 300;
export const maxRecoveredBytes = 256 * 1024;

export interface Wish extends Position {
  recover: boolean;
  /** Refuse with error 112 rather than begin without recovery. */
  strict?: boolean;
}

/** How a subscription begins, as its reply tells. */
export interface Joined {
  /** Absent in a room without positions. */
  position?: Position;
  recovered: boolean;
  publications: StreamEntry[];
  data?: unknown;
}

export interface Start {
  /** Of the subscribe result: on recovery the client's own, otherwise the newest. */
  position: Position;
  recovered: boolean;
  publications: StreamEntry[];
  /** Up to here the client has everything, or was told that it has not. */
  upTo: number;
}

/**
 * @param page what the stream had after `wish.offset`, read while the subscription was already collecting
 * @param live publications delivered in the room meanwhile, in the order of delivery
 * @param trustsAhead see `Stream.trustsAhead`
 */
export function start(wish: Wish, page: StreamPage, live: readonly RelayRecord[], trustsAhead: boolean): Start {
  const newest = live.findLast((record) => record.offset !== undefined);
  const epoch = newest?.epoch ?? page.top.epoch;
  const pageCounts = page.top.epoch === epoch;
  const top = Math.max(pageCounts ? page.top.offset : 0, newest?.offset ?? 0);

  const fresh: Start = { position: { epoch, offset: top }, recovered: false, publications: [], upTo: top };
  if (!wish.recover || (wish.epoch !== '' && wish.epoch !== epoch)) return fresh;
  if (wish.offset > top) {
    // Without an epoch on both sides nobody can say that the client's offset belongs to this numbering.
    if (!trustsAhead || wish.epoch === '') return fresh;
    return { position: { epoch, offset: wish.offset }, recovered: true, publications: [], upTo: wish.offset };
  }

  const publications: StreamEntry[] = pageCounts ? page.entries.filter((entry) => entry.offset > wish.offset) : [];
  let last = publications.at(-1)?.offset ?? wish.offset;
  for (const { epoch: of, offset, data, info } of live) {
    if (of !== epoch || offset === undefined || offset <= last) continue;
    publications.push({ offset, data, info });
    last = offset;
  }
  const whole = last === top && publications.every((entry, at) => entry.offset === wish.offset + 1 + at);
  if (!whole || publications.length > maxRecovered || bytes(publications) > maxRecoveredBytes) return fresh;
  return { position: { epoch, offset: wish.offset }, recovered: true, publications, upTo: top };
}

function bytes(entries: readonly StreamEntry[]): number {
  let sum = 0;
  for (const { data, info } of entries) sum += Buffer.byteLength(data) + (info ? Buffer.byteLength(info) : 0);
  return sum;
}
