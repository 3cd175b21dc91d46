/** Migrations only add, unless they say that they break: a hub of the version before works on the schema after them. */

import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readMigrations } from '../../src/db/migrate.ts';
import { contractingIn } from '../support/contracting.ts';

test('every migration expands the schema, or says that it is breaking', async () => {
  const migrations = await readMigrations(join(import.meta.dirname, '../../migrations'));
  expect(migrations.length).toBeGreaterThan(4);
  for (const { name, breaking, text } of migrations) if (!breaking) expect(contractingIn(text), name).toEqual([]);
});

test.each([
  ['drop table host'],
  ['DROP   FUNCTION storage_bytes()'],
  ['alter table host drop column seen_at'],
  ['alter table host alter column seen_at drop default'],
  ['alter table host drop constraint host_pkey'],
  ['alter table host rename column name to title'],
  ['alter table host rename to machine'],
  ['alter function storage_bytes() rename to bytes'],
  ['alter table host set schema old'],
  ['alter table host alter column name type varchar(20)'],
  ['alter table host alter "name" set data type varchar(20)'],
  ['alter table host alter column platform set not null'],
  ['alter table host add column owner uuid not null'],
  ['alter table host add column a integer default 1, add column b numeric(3, 1) not null'],
  ['alter table host add constraint short check (length(name) < 9)'],
  ['alter table host add unique (name)'],
  ['create unique index host_name on host (name)'],
  ['truncate host'],
  ['create table part (id integer); alter table host drop column name'],
])('found: %s', (sql) => expect(contractingIn(`-- adds\n${sql};`)).toHaveLength(1));

test.each([
  ['create table part (id integer not null); create unique index part_id on part (id); alter table part add check (id > 0)'],
  ['alter table host add column owner uuid'],
  ["alter table host add column owner text not null default ''"],
  ['alter table host add column n bigint not null generated always as identity'],
  ['create index host_name on host (name); drop index host_by_group'],
  ['-- drop table host\nselect 1'],
  ['create or replace function f() returns void language plpgsql as $$ begin drop table host; end $$'],
  ["comment on table host is 'drop; truncate'"],
  ["insert into host (name) values ('alter table host drop column name')"],
])('fine: %s', (sql) => expect(contractingIn(`${sql};`)).toEqual([]));
