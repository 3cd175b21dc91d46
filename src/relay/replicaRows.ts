/** The rows by which replicas know each other: the contract, alone in memory, shared in Redis. */

import { tryParse } from '../lib/json.ts';
import { mending } from './mending.ts';
import type { RedisLink } from './redisLink.ts';

/** What a replica says of itself. */
export interface ReplicaRow {
  id: string;
  /** Its pod in Kubernetes, else its machine. */
  name: string;
  /** The machine that a pod runs on; empty where unknown. */
  node: string;
  version: string;
  /** Hub time in ms. */
  startedAt: number;
  /** Hub time in ms of this row. */
  at: number;
  connections: { agent: number; user: number };
  /** Rooms with members here. */
  rooms: number;
  /** Received and sent. */
  messagesPerSecond: number;
  /** How late the event loop was, 99th percentile since the last row. */
  loopLagMs: number;
  /** Takes new connections. */
  ready: boolean;
  /** Closes its connections in order to stop. */
  draining: boolean;
}

/** No method waits long: Redis answers within two seconds, or the call rejects. */
export interface ReplicaStore {
  /** Writes the own row and gives those of all replicas, whatever their age. */
  exchange(own: ReplicaRow): Promise<ReplicaRow[]>;
  /** A replica that goes says so; a row that nobody renews is forgotten by its readers. */
  remove(ids: readonly string[]): Promise<void>;
}

/** One replica alone. */
export class MemoryReplicas implements ReplicaStore {
  exchange(own: ReplicaRow): Promise<ReplicaRow[]> {
    return Promise.resolve([own]);
  }

  remove(): Promise<void> {
    return Promise.resolve();
  }
}

/** More rows than this are not read: then something else writes there. */
const maxRows = 10_000;

/** One hash for all replicas; its fields are their ids. */
export class RedisReplicas implements ReplicaStore {
  readonly #link: Pick<RedisLink, 'commands'>;
  readonly #key: string;
  readonly #dropped: () => void;

  /** @param dropped told of each row that is none */
  constructor(link: Pick<RedisLink, 'commands' | 'key'>, dropped: () => void) {
    this.#link = link;
    this.#key = link.key('replicas', 'rows');
    this.#dropped = dropped;
  }

  async exchange(own: ReplicaRow): Promise<ReplicaRow[]> {
    const { commands } = this.#link;
    const [, found] = await mending(this.#link, [this.#key], () =>
      Promise.all([commands.hset(this.#key, own.id, JSON.stringify(own)), commands.hgetall(this.#key)]),
    );
    const rows: ReplicaRow[] = [];
    for (const [id, text] of Object.entries(found).slice(0, maxRows)) {
      const row = parseRow(text);
      if (row && row.id === id) rows.push(row);
      else this.#dropped();
    }
    return rows;
  }

  async remove(ids: readonly string[]): Promise<void> {
    if (ids.length > 0) await this.#link.commands.hdel(this.#key, ...ids);
  }
}

const maxRowChars = 2_000;
const isText = (value: unknown, maxChars: number): value is string => typeof value === 'string' && value.length <= maxChars;
const isCount = (value: unknown): value is number => typeof value === 'number' && value >= 0 && value < Number.MAX_SAFE_INTEGER;

/** What another replica wrote, of this version or another, or undefined. */
export function parseRow(text: string): ReplicaRow | undefined {
  const value = text.length <= maxRowChars ? tryParse(text) : undefined;
  if (typeof value !== 'object' || value === null) return undefined;
  const { id, name, node, version, startedAt, at, connections, rooms, messagesPerSecond, loopLagMs, ready, draining } =
    value as Partial<ReplicaRow>;
  const isRow =
    isText(id, 64) &&
    isText(name, 253) &&
    isText(node, 253) &&
    isText(version, 64) &&
    [startedAt, at, rooms, messagesPerSecond, loopLagMs, connections?.agent, connections?.user].every(isCount) &&
    typeof ready === 'boolean' &&
    typeof draining === 'boolean';
  return isRow ? (value as ReplicaRow) : undefined;
}
