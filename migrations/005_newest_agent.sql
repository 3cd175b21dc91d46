-- Which of an agent's connections is the newest, decided once for all replicas; how often two agents pushed each other out.

-- Counts the connections announced for the host: of two, the higher one may publish.
alter table host add column announcements bigint not null default 0;
-- When a living connection was pushed out by one of another boot; the last minutes only.
alter table host add column identity_changes timestamptz[] not null default '{}';
