/** What one replica tells of one room, as text in Redis, or of one change, as a record of the relay. */

import type { Static } from 'typebox';
import Type from 'typebox';
import { Compile } from 'typebox/compile';
import { tryParse } from '../lib/json.ts';
import type { ClientInfo } from '../protocol/commands.ts';
import { nobody, type Elsewhere, type Here, type PresenceChange } from './presence.ts';
import type { RelayRecord } from './relay.ts';

const info = Type.Object({
  user: Type.String(),
  client: Type.String({ minLength: 1 }),
  conn_info: Type.Optional(Type.Unknown()),
  chan_info: Type.Optional(Type.Unknown()),
});
const count = Type.Integer({ minimum: 0 });

const entrySchema = Type.Object({
  /** How many people's connections. */
  people: count,
  agents: Type.Array(info),
  /** The people; absent where they are many. */
  list: Type.Optional(Type.Array(info)),
  /** Their user ids, each once; absent where `list` says it, or where even these are too many. */
  users: Type.Optional(Type.Array(Type.String())),
  /** How many users; only where neither `list` nor `users` says it. */
  userCount: Type.Optional(count),
});
const entry = Compile(entrySchema);
const change = Compile(Type.Object({ replica: Type.String(), info }));

/** What a replica tells of a room. */
export type Entry = Static<typeof entrySchema>;

/** A replica lists the people of a room up to so many; above, only their ids, and above that, only how many. */
const maxListed = 50;
const maxUsers = 2_000;
/** No entry of ours is longer; a longer one is not read. */
const maxTextChars = 1024 * 1024;

/** Undefined where nobody is here. */
export function encodeEntry({ agents, people }: Here): string | undefined {
  if (agents.length + people.length === 0) return undefined;
  const told: Entry = { people: people.length, agents };
  if (people.length <= maxListed) return JSON.stringify({ ...told, list: people } satisfies Entry);
  const users = new Set(people.map(({ user }) => user));
  return JSON.stringify((users.size <= maxUsers ? { ...told, users: [...users] } : { ...told, userCount: users.size }) satisfies Entry);
}

/** Undefined for what no replica of ours wrote. */
export function parseEntry(text: string): Entry | undefined {
  if (text.length > maxTextChars) return undefined;
  const value = tryParse(text);
  return entry.Check(value) ? value : undefined;
}

export const encodeChange = (replica: string, { what, info: who }: PresenceChange): RelayRecord => ({
  data: JSON.stringify({ replica, info: who }),
  presence: what,
});

/** Undefined for what no replica of ours published. */
export function parseChange({ data, presence }: RelayRecord): { replica: string; change: PresenceChange } | undefined {
  const value = tryParse(data);
  return presence && change.Check(value) ? { replica: value.replica, change: { what: presence, info: value.info } } : undefined;
}

/** All other replicas' entries of one room together. */
export function unite(entries: Iterable<Entry>): Elsewhere {
  const all = nobody();
  let list: ClientInfo[] | undefined = [];
  for (const one of entries) {
    all.people += one.people;
    all.clients += one.people + one.agents.length;
    const known = [...one.agents, ...(one.list ?? [])];
    for (const { user } of known) all.users.add(user);
    for (const user of one.users ?? []) all.users.add(user);
    all.moreUsers += one.userCount ?? 0;
    list = one.people > 0 && !one.list ? undefined : list && [...list, ...known];
  }
  return { ...all, list };
}
