-- How long admins keep each tier of history, where that is shorter than the configuration says.

create table retention (
  tier text primary key check (tier in ('raw', '10s', '1m', '1h')),
  kept_ms bigint not null check (kept_ms > 0)
);
