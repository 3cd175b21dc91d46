/** Where a room's positions come from: the truth behind it (agent's numbering, PostgreSQL, memory). */

import type { Position } from '../protocol/commands.ts';

/** A publication with its place; texts are JSON in one line, ready for a frame. */
export interface StreamEntry {
  offset: number;
  data: string;
  info?: string;
}

export interface StreamPage {
  /** The newest position known to this replica; offset 0 while nothing is known. */
  top: Position;
  /** Ascending by offset, or descending where `reverse` was asked. */
  entries: StreamEntry[];
}

export interface Range {
  /** Exclusive. Absent: from the oldest (or, reversed, from the newest). */
  since?: number;
  /** 0: only the position. */
  limit: number;
  reverse?: boolean;
  /** The epoch the caller believes in; another one yields no entries. */
  epoch?: string;
}

/**
 * The contract, held by one suite for all implementations: `read` answers with the top and the entries of the range that the
 * stream still has, without a hole among those returned; it rejects only when its source is away.
 */
export interface Stream {
  read(room: string, range: Range): Promise<StreamPage>;
  /** What an offset ahead of `top` in the same epoch means: the replica is behind (true), or the source was restored (false). */
  readonly trustsAhead: boolean;
}
