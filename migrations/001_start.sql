-- The first schema: people, groups, hosts, rooms with their conversation, and one-second samples.

create table hub (
  one boolean primary key default true check (one),
  id uuid not null,
  -- Names this life of the conversation streams; renewed after every restore.
  epoch text not null
);

create table person (
  id uuid primary key,
  email text not null,
  name text not null,
  -- PHC string; null until a password was set through the sign-in link.
  password_hash text,
  admin boolean not null default false,
  created_at timestamptz not null default now()
);
create unique index person_email on person (lower(email));

-- One row per signed-in browser. The refresh token rotates; only hashes are kept.
create table session (
  id uuid primary key,
  person uuid not null references person on delete cascade,
  token_hash bytea not null unique,
  -- The token before this one, whose second use within 10 s is answered with the same successor.
  previous_hash bytea,
  rotated_at timestamptz,
  -- The successor's token, encrypted, readable only for that grace time.
  successor bytea,
  agent text not null default '',
  address text not null default '',
  created_at timestamptz not null default now(),
  used_at timestamptz not null default now(),
  expires_at timestamptz not null
);
create index session_person on session (person);
create index session_previous on session (previous_hash);

create table sign_in_link (
  token_hash bytea primary key,
  person uuid not null references person on delete cascade,
  expires_at timestamptz not null
);

-- "group" is a reserved word of SQL.
create table host_group (
  id uuid primary key,
  name text not null unique,
  created_at timestamptz not null default now()
);

create table membership (
  host_group uuid not null references host_group on delete cascade,
  person uuid not null references person on delete cascade,
  role text not null check (role in ('viewer', 'member', 'operator', 'owner')),
  primary key (host_group, person)
);
create index membership_person on membership (person);

create table host (
  id uuid primary key,
  host_group uuid not null references host_group,
  name text not null,
  -- The agent's Ed25519 public key as JWK; null until it enrolled.
  public_key jsonb,
  platform jsonb,
  inventory jsonb,
  created_at timestamptz not null default now(),
  -- The connection that may publish: the newest announced one.
  boot uuid,
  connection integer,
  announced_at timestamptz,
  replica uuid,
  -- Between the events "agent joined" and "agent left".
  online boolean not null default false,
  online_since timestamptz,
  seen_at timestamptz,
  last_sample_at timestamptz
);
create index host_by_group on host (host_group);

create table enrolment (
  token_hash bytea primary key,
  host_group uuid not null references host_group on delete cascade,
  -- Set where the token is for one host made beforehand.
  host uuid references host on delete cascade,
  uses_left integer not null,
  expires_at timestamptz not null,
  created_by uuid references person on delete set null
);

-- Which key used which token for which host: makes enrolment idempotent by token and key.
create table enrolment_use (
  token_hash bytea not null references enrolment on delete cascade,
  key_thumbprint text not null,
  host uuid not null references host on delete cascade,
  primary key (token_hash, key_thumbprint)
);

-- A conversation. A host's own has the host's id.
create table room (
  id uuid primary key,
  host_group uuid not null references host_group,
  host uuid unique references host on delete cascade,
  name text not null,
  -- The offset of the newest publication.
  top bigint not null default 0,
  created_at timestamptz not null default now()
);
create index room_by_group on room (host_group);

-- What was put into a conversation, in order: recovery and history of the wire protocol read it.
create table publication (
  room uuid not null references room on delete cascade,
  "offset" bigint not null,
  at timestamptz not null default now(),
  -- JSON texts as they went over the wire.
  data text not null,
  info text,
  primary key (room, "offset")
);

-- The timeline's rows as they are now: messages of people, alerts, events.
create table message (
  id uuid primary key,
  room uuid not null references room on delete cascade,
  -- The offset of its first publication: the order of the timeline.
  "offset" bigint not null,
  kind text not null check (kind in ('message', 'alert', 'event')),
  author uuid references person on delete set null,
  -- Chosen by the author's program; makes a retry harmless.
  key text,
  -- The time, or range, it speaks of.
  at timestamptz not null,
  until timestamptz,
  thread uuid references message on delete set null,
  -- The rest of the publication: text, or the fields of its kind.
  body jsonb not null,
  created_at timestamptz not null default now(),
  edited_at timestamptz,
  deleted_at timestamptz,
  unique (room, "offset")
);
create unique index message_key on message (room, author, key) where key is not null;
create index message_at on message (room, at);

-- One-second samples and process lists until they are sealed into chunks. Partitions are made ahead and dropped behind.
create table sample_hot (
  host uuid not null,
  kind text not null,
  at timestamptz not null,
  boot uuid not null,
  seq bigint not null,
  -- The publication's data as JSON text in UTF-8.
  frame bytea not null,
  primary key (host, kind, at)
) partition by range (at);
-- Catches what has no partition yet, so that a missing one never loses a sample.
create table sample_hot_default partition of sample_hot default;
