/** The bodies, queries and answers of the REST interface, as schemas with their types. */

import Type from 'typebox';
import type { Static, TSchema } from 'typebox';
import { leastPasswordLength } from '../lib/passwordLength.ts';
import type { Inventory } from './kinds.ts';

const strict = { additionalProperties: false } as const;
const Nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

export const idPattern = '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$';
/** UUIDv7 in lower case. */
export const Id = Type.String({ pattern: idPattern });
/** Milliseconds since 1970 UTC in hub time. */
export const Time = Type.Integer({ minimum: 0, maximum: 8_640_000_000_000_000 });
/** Not blank, no control characters, none that change the direction of writing. */
export const namePattern = '^(?=.*\\S)[^\\u0000-\\u001f\\u007f-\\u009f\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ufeff]*$';
/** One line for people, which reads as it is stored. */
export const Name = Type.String({ minLength: 1, maxLength: 100, pattern: namePattern });
const Email = Type.String({ minLength: 3, maxLength: 254, pattern: '^[^\\s@\\u0000-\\u001f\\u007f]+@[^\\s@\\u0000-\\u001f\\u007f]+$' });
const Password = Type.String({ minLength: leastPasswordLength, maxLength: 200 });
const Token = Type.String({ minLength: 20, maxLength: 200, pattern: '^[A-Za-z0-9_-]+$' });
const MessageText = Type.String({ minLength: 1, maxLength: 16_000 });

/** RFC 9457, with a stable `code`. */
export const Problem = Type.Object({
  type: Type.String(),
  title: Type.String(),
  status: Type.Integer(),
  code: Type.String(),
  detail: Type.String(),
  /** The id under which the hub's log has this request. */
  request: Type.String(),
});
export type Problem = Static<typeof Problem>;

/** The query of a list: `after` is `next` of the page before. */
export const PageQuery = Type.Object(
  { limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200 })), after: Type.Optional(Id) },
  strict,
);
export type PageQuery = Static<typeof PageQuery>;
const page = <T extends TSchema>(item: T) => Type.Object({ items: Type.Array(item), next: Nullable(Type.String()) });

export const IdParams = Type.Object({ id: Id }, strict);
export const MessageParams = Type.Object({ id: Id, messageId: Id }, strict);

export const roles = ['viewer', 'member', 'operator', 'owner'] as const;
export type Role = (typeof roles)[number];
const Role = Type.Union([Type.Literal('viewer'), Type.Literal('member'), Type.Literal('operator'), Type.Literal('owner')]);

const Named = Type.Object({ id: Id, name: Type.String() });

export const Me = Type.Object({
  id: Id,
  name: Type.String(),
  email: Type.String(),
  admin: Type.Boolean(),
  /** False until a password was set after signing in by link. */
  hasPassword: Type.Boolean(),
  /** An admin is owner of every group. */
  groups: Type.Array(Type.Object({ id: Id, name: Type.String(), role: Role })),
});
export type Me = Static<typeof Me>;
export const MePatch = Type.Object({ name: Type.Optional(Name), email: Type.Optional(Email) }, strict);
export type MePatch = Static<typeof MePatch>;

export const Login = Type.Object(
  { login: Type.String({ minLength: 1, maxLength: 254 }), password: Type.String({ minLength: 1, maxLength: 1000 }) },
  strict,
);
export type Login = Static<typeof Login>;
export const SignedIn = Type.Object({
  accessToken: Type.String(),
  /** Seconds. */
  expiresIn: Type.Integer(),
  user: Me,
});
export type SignedIn = Static<typeof SignedIn>;
export const SignInLink = Type.Object({ token: Token }, strict);
export type SignInLink = Static<typeof SignInLink>;
export const PasswordChange = Type.Object(
  {
    /** Needed once a password is set. */
    current: Type.Optional(Type.String({ maxLength: 1000 })),
    password: Password,
  },
  strict,
);
export type PasswordChange = Static<typeof PasswordChange>;

export const Session = Type.Object({
  id: Id,
  /** The browser's User-Agent, cut. */
  agent: Type.String(),
  address: Type.String(),
  createdAt: Time,
  usedAt: Time,
  expiresAt: Time,
  /** The one that asks. */
  current: Type.Boolean(),
});
export const Sessions = page(Session);
export type Sessions = Static<typeof Sessions>;

export const HostStatus = Type.Union([Type.Literal('never'), Type.Literal('online'), Type.Literal('offline')]);
const Figure = Nullable(Type.Number());
/** Mirrors `HostSummary` of kinds. */
const Summary = Type.Object({
  status: HostStatus,
  at: Figure,
  cpu: Figure,
  memory: Figure,
  disk: Figure,
  receive: Figure,
  transmit: Figure,
  load: Figure,
  temperature: Figure,
  uptime: Figure,
  alerts: Type.Integer(),
});
const Platform = Type.Record(
  Type.String({ maxLength: 64 }),
  Type.Union([Type.String({ maxLength: 500 }), Type.Number(), Type.Boolean(), Type.Null()]),
  {
    maxProperties: 32,
  },
);

export const Host = Type.Object({
  /** Also the id of its conversation. */
  id: Id,
  name: Type.String(),
  group: Named,
  status: HostStatus,
  lastSampleAt: Nullable(Time),
  /** Null while offline. */
  onlineSince: Nullable(Time),
  createdAt: Time,
  summary: Summary,
  /** `cpu.busy` of the last minute, one value per second; `at` is the time of the last. */
  recentCpu: Nullable(Type.Object({ at: Time, values: Type.Array(Figure) })),
  platform: Nullable(Platform),
  inventory: Nullable(Type.Unsafe<Inventory>({ type: 'object', description: 'As the agent told it.' })),
  /** What the one who asks may do here. */
  role: Role,
});
export type Host = Static<typeof Host>;
export const Hosts = page(Host);
export type Hosts = Static<typeof Hosts>;
export const NewHost = Type.Object(
  {
    name: Name,
    /** Group id; absent: the group `hosts`, or the only one. */
    group: Type.Optional(Id),
  },
  strict,
);
export type NewHost = Static<typeof NewHost>;
export const HostPatch = Type.Object({ name: Name }, strict);
export type HostPatch = Static<typeof HostPatch>;
export const Enrolment = Type.Object({
  token: Type.String(),
  expiresAt: Time,
  /** One line to paste into a root shell of the host. */
  command: Type.String(),
});
export type Enrolment = Static<typeof Enrolment>;
export const AddedHost = Type.Object({ id: Id, name: Type.String(), enrolment: Enrolment });
export type AddedHost = Static<typeof AddedHost>;
/** `from` inclusive, `to` exclusive; without `to`: until now. */
export const SamplesQuery = Type.Object(
  { from: Time, to: Type.Optional(Time), kind: Type.Optional(Type.Union([Type.Literal('sample'), Type.Literal('processes')])) },
  strict,
);
export type SamplesQuery = Static<typeof SamplesQuery>;

export const Group = Type.Object({ id: Id, name: Type.String(), role: Role, hosts: Type.Integer() });
export const Groups = page(Group);
export type Groups = Static<typeof Groups>;
export const Member = Type.Object({
  user: Named,
  role: Role,
  /** Connected to the room now. */
  present: Type.Boolean(),
});
export const Members = page(Member);
export type Members = Static<typeof Members>;

export const Room = Type.Object({
  id: Id,
  name: Type.String(),
  group: Named,
  /** Whose conversation it is; null where it belongs to no host. */
  host: Nullable(Id),
  role: Role,
  createdAt: Time,
});
export type Room = Static<typeof Room>;
export const Rooms = page(Room);
export type Rooms = Static<typeof Rooms>;

/** Mirrors `Message` of kinds. */
export const Message = Type.Object({
  kind: Type.Literal('message'),
  id: Id,
  room: Id,
  author: Nullable(Named),
  text: Type.String(),
  at: Time,
  until: Type.Optional(Time),
  thread: Type.Optional(Id),
  key: Type.Optional(Type.String()),
  createdAt: Time,
  editedAt: Type.Optional(Time),
  deletedAt: Type.Optional(Time),
});
const Event = Type.Object({
  kind: Type.Literal('event'),
  id: Id,
  room: Id,
  what: Type.String(),
  at: Time,
  until: Type.Optional(Time),
  createdAt: Time,
  details: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number()])),
});
/** Oldest first. `next` is the cursor for the older (or, with `after`, the newer) page. */
export const Timeline = page(Type.Union([Message, Event]));
export type Timeline = Static<typeof Timeline>;
/** Cursors are ids of timeline items; at most one of the three. None: the newest. */
export const TimelineQuery = Type.Object(
  {
    before: Type.Optional(Id),
    after: Type.Optional(Id),
    around: Type.Optional(Id),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200 })),
  },
  strict,
);
export type TimelineQuery = Static<typeof TimelineQuery>;
export const NewMessage = Type.Object(
  {
    text: MessageText,
    at: Type.Optional(Time),
    until: Type.Optional(Time),
    thread: Type.Optional(Id),
    key: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
  },
  strict,
);
export type NewMessage = Static<typeof NewMessage>;
export const MessagePatch = Type.Object({ text: MessageText }, strict);
export type MessagePatch = Static<typeof MessagePatch>;

/** An Ed25519 public key; a body with the private half is refused. */
export const PublicKey = Type.Object(
  {
    kty: Type.Literal('OKP'),
    crv: Type.Literal('Ed25519'),
    x: Type.String({ pattern: '^[A-Za-z0-9_-]{43}$' }),
    alg: Type.Optional(Type.String({ maxLength: 20 })),
    use: Type.Optional(Type.String({ maxLength: 20 })),
    kid: Type.Optional(Type.String({ maxLength: 200 })),
    ext: Type.Optional(Type.Boolean()),
    key_ops: Type.Optional(Type.Array(Type.String({ maxLength: 20 }), { maxItems: 4 })),
  },
  strict,
);
export type PublicKey = Static<typeof PublicKey>;
export const EnrolRequest = Type.Object(
  {
    token: Token,
    publicKey: PublicKey,
    name: Type.Optional(Name),
    platform: Type.Optional(Type.Union([Type.String({ maxLength: 500 }), Platform])),
  },
  strict,
);
export type EnrolRequest = Static<typeof EnrolRequest>;
export const Enrolled = Type.Object({
  hostId: Id,
  /** `host:<hostId>`. */
  room: Type.String(),
  /** `aud` of the agent's connect tokens. */
  hub: Id,
  time: Time,
});
export type Enrolled = Static<typeof Enrolled>;

export const HubTime = Type.Object({ time: Time });
export type HubTime = Static<typeof HubTime>;
export const Version = Type.Object({ name: Type.String(), version: Type.String() });
export type Version = Static<typeof Version>;
