/** Short notices from one replica to all others: what they have to forget, or whom to close. */

import type { Static, TSchema } from 'typebox';
import Type from 'typebox';
import { Compile } from 'typebox/compile';
import { tryParse } from '../lib/json.ts';
import type { Relay, RelayRecord, RoomsHere } from './relay.ts';

const id = Type.String({ pattern: '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' });

/** All there are, with what each tells. */
const kinds = {
  /** Sign-ins that ended: their connections are closed. */
  sessionsEnded: Type.Object({ sessions: Type.Array(id, { maxItems: 10_000 }) }),
  /** A person's name, roles or rights changed. */
  rolesChanged: Type.Object({ person: id }),
  /** A host's name, group, inventory or status changed. */
  hostChanged: Type.Object({ host: id }),
  /** A host was given another key: connections announced before `order` have the old one. */
  hostKey: Type.Object({ host: id, order: Type.Integer({ minimum: 0 }) }),
  hostDeleted: Type.Object({ host: id }),
  /** A host's agent connected to the telling replica; the highest `order` holds, as PostgreSQL counted it. */
  agentConnected: Type.Object({ host: id, boot: id, order: Type.Integer({ minimum: 0 }) }),
} satisfies Record<string, TSchema>;

export type NoticeKind = keyof typeof kinds;
export type Notice<K extends NoticeKind = NoticeKind> = { [Kind in K]: { kind: Kind } & Static<(typeof kinds)[Kind]> }[K];

const checks = new Map<string, { Check(value: unknown): boolean }>(Object.entries(kinds).map(([kind, schema]) => [kind, Compile(schema)]));

/** Followed by every replica, as all rooms of this sort are. */
const room = '~notices';

export interface NoticesOptions {
  relay: Relay;
  /** What arrived was no notice of ours, or (`notice`) one of a kind that only a newer version knows. Nothing comes of either. */
  refused?: (what: 'relay_record' | 'notice') => void;
  /** A handler threw. */
  failed?: (error: unknown, what: string) => void;
}

/** A relay that keeps the notices for itself. Nothing is kept for a replica that is away: what must not be missed is looked up at its return. */
export class Notices implements Relay {
  readonly #options: NoticesOptions;
  /** Each is only ever given notices of its kind, which a map cannot say. */
  readonly #handlers = new Map<string, ((notice: never) => void)[]>();

  constructor(options: NoticesOptions) {
    this.#options = options;
  }

  /** Tells all other replicas; its own handlers do not run. Never waits, never throws. */
  tell(notice: Notice): void {
    this.#options.relay.publish(room, { data: JSON.stringify(notice) });
  }

  /** Runs for each such notice of another replica. */
  on<K extends NoticeKind>(kind: K, handler: (notice: Notice<K>) => void): void {
    this.#handlers.set(kind, [...(this.#handlers.get(kind) ?? []), handler]);
  }

  start(deliver: (room: string, record: RelayRecord) => void): Promise<void> {
    return this.#options.relay.start((name, record) => (name === room ? this.#arrived(record.data) : deliver(name, record)));
  }

  publish(name: string, record: RelayRecord): void {
    this.#options.relay.publish(name, record);
  }

  follow(rooms: RoomsHere, changed?: Iterable<string>): void {
    this.#options.relay.follow(rooms, changed);
  }

  close(): Promise<void> {
    return this.#options.relay.close();
  }

  #arrived(data: string): void {
    const notice = parse(data);
    if (typeof notice === 'string') return this.#options.refused?.(notice);
    for (const handler of this.#handlers.get(notice.kind) ?? []) {
      try {
        handler(notice as never);
      } catch (error) {
        this.#options.failed?.(error, `the notice ${notice.kind}`);
      }
    }
  }
}

function parse(data: string): Notice | 'relay_record' | 'notice' {
  const value = tryParse(data);
  if (typeof value !== 'object' || value === null || !('kind' in value) || typeof value.kind !== 'string') return 'relay_record';
  const check = checks.get(value.kind);
  if (!check) return 'notice';
  return check.Check(value) ? (value as Notice) : 'relay_record';
}
