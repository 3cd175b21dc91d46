-- History: minutes of samples as chunks, rollups of 10 s, 1 min and 1 h, and what keeps them made and bounded.

-- The numbers that stand for metrics' names in chunks and rollups.
create table metric (
  id integer generated always as identity primary key,
  name text not null unique
);

-- One host-minute of publications of one kind, compressed (src/chunks tells how).
create table sample_chunk (
  host uuid not null,
  kind text not null,
  -- Its beginning.
  minute timestamptz not null,
  -- How many publications are in it.
  n integer not null,
  data bytea not null,
  primary key (host, kind, minute)
) partition by range (minute);

-- Min, avg, max and count by metric: the buckets of one minute, one minute, one hour.
create table rollup_10s (
  host uuid not null,
  at timestamptz not null,
  data bytea not null,
  primary key (host, at)
) partition by range (at);
create table rollup_1m (like rollup_10s including all) partition by range (at);
create table rollup_1h (like rollup_10s including all) partition by range (at);

-- It is compressed already; storage is inherited by the partitions.
alter table sample_chunk alter column data set storage external;
alter table rollup_10s alter column data set storage external;
alter table rollup_1m alter column data set storage external;
alter table rollup_1h alter column data set storage external;

-- Each catches what has no partition yet.
create table sample_chunk_default partition of sample_chunk default;
create table rollup_10s_default partition of rollup_10s default;
create table rollup_1m_default partition of rollup_1m default;
create table rollup_1h_default partition of rollup_1h default;

-- How far minutes are closed. A sample of a closed minute goes into seal_work with the statement that stores it;
-- minutes before `listed_until` had all their hosts put there when they closed.
create table seal_state (
  one boolean primary key default true check (one),
  closed_until timestamptz not null,
  -- The transaction that closed them: a statement whose snapshot is older does not know it.
  closed_by xid8 not null,
  listed_until timestamptz not null
);
-- On an update samples may be here already: their minutes are still to be closed.
insert into seal_state (closed_until, closed_by, listed_until)
  select since, pg_current_xact_id(), since from (select coalesce(date_trunc('minute', min(at)), date_trunc('minute', now())) as since from sample_hot) oldest;

-- Host-minutes whose chunk lacks samples that are in sample_hot. The same one may be here several times.
create table seal_work (
  id bigint generated always as identity primary key,
  host uuid not null,
  minute timestamptz not null,
  -- Attempts that failed; the last of them leaves the samples in sample_hot.
  tries smallint not null default 0
);
create index seal_work_minute on seal_work (host, minute);

-- Hours whose rollup is not made yet or lacks late samples.
create table hour_work (
  host uuid not null,
  hour timestamptz not null,
  primary key (host, hour)
);

-- Chunks that could not be read when late samples were to be merged into them, put aside so that nothing overwrites them.
create table corrupt_chunk (
  host uuid not null,
  kind text not null,
  minute timestamptz not null,
  found_at timestamptz not null default now(),
  data bytea not null
);

-- The hub's role needs no right to create or drop tables: these run with the rights of the schema's owner, on these tables only.

create function check_history_table(parent text) returns void
language plpgsql as $$
begin
  if parent is null or parent not in ('sample_hot', 'sample_chunk', 'rollup_10s', 'rollup_1m', 'rollup_1h') then
    raise exception '% has no partitions by time', coalesce(parent, 'null') using errcode = 'invalid_parameter_value';
  end if;
end
$$;

-- Makes the partition for starts <= time < ends, moving into it what the default partition holds of that range.
-- False where it, or another one that overlaps it, is there already. Safe when several replicas ask at once.
-- Gives up with lock_not_available (55P03) after 1 s rather than make writers queue behind a long reader; ask again later.
create function make_partition(parent text, starts timestamptz, ends timestamptz) returns boolean
language plpgsql security definer as $$
declare
  part text := parent || '_' || to_char(starts at time zone 'UTC', 'YYYYMMDD"t"HH24MISS');
  rest text := parent || '_default';
  key text;
begin
  perform check_history_table(parent);
  if starts is null or ends is null or ends <= starts or starts <> date_trunc('second', starts) or not isfinite(starts) or not isfinite(ends) then
    raise exception 'a partition needs whole seconds with starts < ends, not % to %', starts, ends using errcode = 'invalid_parameter_value';
  end if;
  perform pg_advisory_xact_lock(7205759404);
  if to_regclass(part) is not null then
    return false;
  end if;
  select a.attname into strict key
    from pg_partitioned_table p join pg_attribute a on a.attrelid = p.partrelid and a.attnum = p.partattrs[0]
    where p.partrelid = parent::regclass;
  -- Writers wait here, before they choose a partition: one that had chosen the default partition would fail once the range is attached.
  execute format('lock table %I in share row exclusive mode', parent);
  execute format('lock table %I in access exclusive mode', rest);
  execute format('create table %I (like %I including all)', part, parent);
  execute format(
    'with moved as (delete from %I where %I >= %L and %I < %L returning *) insert into %I select * from moved', rest, key, starts, key, ends, part);
  -- Attaching lets readers of the parent go on; creating it as a partition would not.
  execute format('alter table %I attach partition %I for values from (%L) to (%L)', parent, part, starts, ends);
  return true;
exception
  -- It overlaps one of another length; everything above is undone, and the rows stay where they are.
  when invalid_object_definition then
    return false;
end
$$;

-- The partitions of a table with their bounds, the oldest first; the default one, which has no end, is left out.
create function partitions_of(parent text) returns table (part regclass, starts timestamptz, ends timestamptz)
language sql stable as $$
  select * from (
    select c.oid::regclass,
      substring(pg_get_expr(c.relpartbound, c.oid) from 'FROM \(''([^'']*)''\)')::timestamptz as starts,
      substring(pg_get_expr(c.relpartbound, c.oid) from 'TO \(''([^'']*)''\)$')::timestamptz as ends
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = parent::regclass
  ) bounded
  where bounded.ends is not null order by 3
$$;

-- Drops every partition whose rows are all older than `before`, and such rows from the default partition; returns how many partitions.
-- Gives up with lock_not_available after 1 s, too. For sample_hot see drop_sealed_partition.
create function drop_partitions(parent text, before timestamptz) returns integer
language plpgsql security definer as $$
declare
  old record;
  key text;
  dropped integer := 0;
begin
  perform check_history_table(parent);
  perform pg_advisory_xact_lock(7205759404);
  select a.attname into strict key
    from pg_partitioned_table p join pg_attribute a on a.attrelid = p.partrelid and a.attnum = p.partattrs[0]
    where p.partrelid = parent::regclass;
  -- First, because a dropped partition keeps the whole table locked until the commit.
  execute format('delete from %I where %I < %L', parent || '_default', key, before);
  for old in select * from partitions_of(parent) loop
    exit when old.ends > before;
    execute format('drop table %s', old.part);
    dropped := dropped + 1;
  end loop;
  return dropped;
end
$$;

-- Drops the oldest partition of sample_hot that ends at or before `before`, if all its samples are in chunks; false where there is none such.
create function drop_sealed_partition(before timestamptz) returns boolean
language plpgsql security definer as $$
declare
  old record;
begin
  perform pg_advisory_xact_lock(7205759404);
  for old in select * from partitions_of('sample_hot') loop
    exit when old.ends > before or old.ends > (select listed_until from seal_state);
    -- From here on nobody is writing into it, and whoever wrote has his note in seal_work.
    lock table sample_hot in access exclusive mode;
    if not exists (select from seal_work where minute > old.starts - interval '1 minute' and minute < old.ends) then
      execute format('drop table %s', old.part);
      return true;
    end if;
  end loop;
  return false;
end
$$;

-- Bytes on disk by tier, indexes and TOAST included.
create function storage_bytes() returns table (tier text, bytes bigint)
language sql stable security definer as $$
  select t.tier, coalesce(sum(pg_total_relation_size(i.inhrelid)), 0)::bigint
  from (values ('hot', 'sample_hot'), ('raw', 'sample_chunk'), ('10s', 'rollup_10s'), ('1m', 'rollup_1m'), ('1h', 'rollup_1h')) as t (tier, parent)
  left join pg_inherits i on i.inhparent = t.parent::regclass
  group by t.tier
$$;

revoke execute on function check_history_table(text), make_partition(text, timestamptz, timestamptz), partitions_of(text),
  drop_partitions(text, timestamptz), drop_sealed_partition(timestamptz), storage_bytes() from public;
-- With another's rights, names must mean what they mean here, whatever the caller's search_path, time zone or patience.
do $$
declare
  signature text;
begin
  foreach signature in array array[
    'make_partition(text, timestamptz, timestamptz)', 'drop_partitions(text, timestamptz)', 'drop_sealed_partition(timestamptz)', 'storage_bytes()'
  ] loop
    execute format('alter function %s set search_path = %I, pg_temp', signature, current_schema());
    execute format('alter function %s set timezone = ''UTC''', signature);
    execute format('alter function %s set datestyle = ''ISO''', signature);
    execute format('alter function %s set lock_timeout = ''1s''', signature);
  end loop;
end
$$;
