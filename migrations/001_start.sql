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

-- The hub's role needs no right to create tables: these two run with the rights of the schema's owner.

-- Makes the partition for samples with starts <= at < ends, moving into it what the default partition holds of that range.
-- False where it, or another one that overlaps it, is there already. Safe when several replicas ask at once.
-- Gives up with lock_not_available (55P03) after 1 s rather than make writers queue behind a long reader; ask again later.
create function make_hot_partition(starts timestamptz, ends timestamptz) returns boolean
language plpgsql security definer as $$
declare
  part text := 'sample_hot_' || to_char(starts at time zone 'UTC', 'YYYYMMDD"t"HH24MISS');
begin
  if starts is null or ends is null or ends <= starts or starts <> date_trunc('second', starts) or not isfinite(starts) or not isfinite(ends) then
    raise exception 'a partition needs whole seconds with starts < ends, not % to %', starts, ends using errcode = 'invalid_parameter_value';
  end if;
  perform pg_advisory_xact_lock(7205759404);
  if to_regclass(part) is not null then
    return false;
  end if;
  -- Writers wait here, before they choose a partition: one that had chosen the default partition would fail once the range is attached.
  lock table sample_hot in share row exclusive mode;
  lock table sample_hot_default in access exclusive mode;
  execute format('create table %I (like sample_hot including all)', part);
  execute format(
    'with moved as (delete from sample_hot_default where at >= %L and at < %L returning *) insert into %I select * from moved', starts, ends, part);
  -- Attaching lets readers of the parent go on; creating it as a partition would not.
  execute format('alter table sample_hot attach partition %I for values from (%L) to (%L)', part, starts, ends);
  return true;
exception
  -- It overlaps one of another length; everything above is undone, and the samples stay where they are.
  when invalid_object_definition then
    return false;
end
$$;

-- Drops every partition whose samples are all older than `before`, and such samples from the default partition; returns how many partitions.
-- Gives up with lock_not_available after 1 s, too.
create function drop_hot_partitions(before timestamptz) returns integer
language plpgsql security definer as $$
declare
  part record;
  dropped integer := 0;
begin
  perform pg_advisory_xact_lock(7205759404);
  -- First, because a dropped partition keeps the whole table locked until the commit.
  delete from sample_hot_default where at < before;
  for part in
    select c.oid::regclass as name, substring(pg_get_expr(c.relpartbound, c.oid) from 'TO \(''(.*)''\)$')::timestamptz as ends
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'sample_hot'::regclass
  loop
    -- The default partition has no bounds.
    if part.ends <= before then
      execute format('drop table %s', part.name);
      dropped := dropped + 1;
    end if;
  end loop;
  return dropped;
end
$$;

revoke execute on function make_hot_partition(timestamptz, timestamptz), drop_hot_partitions(timestamptz) from public;
-- With another's rights, names must mean what they mean here, whatever the caller's search_path, time zone or patience.
do $$
declare
  signature text;
begin
  foreach signature in array array['make_hot_partition(timestamptz, timestamptz)', 'drop_hot_partitions(timestamptz)'] loop
    execute format('alter function %s set search_path = %I, pg_temp', signature, current_schema());
    execute format('alter function %s set timezone = ''UTC''', signature);
    execute format('alter function %s set datestyle = ''ISO''', signature);
    execute format('alter function %s set lock_timeout = ''1s''', signature);
  end loop;
end
$$;
