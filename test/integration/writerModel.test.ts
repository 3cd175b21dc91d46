/** Random rows against a writer whose connections are cut: what was acknowledged is stored, exactly once, and only the guilty are refused. */

import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SampleRow } from '../../src/data/samples.ts';
import { SampleWriter, WriteError } from '../../src/data/writer.ts';
import { newId } from '../../src/lib/id.ts';
import { freshDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { seedFor } from '../support/seed.ts';
import { until } from '../support/until.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await freshDatabase(afterAll);
});

/** Few hosts, times and boots, so that places collide; `bad` rows are what PostgreSQL cannot store. */
const given = fc.array(
  fc.record({
    host: fc.nat(2),
    at: fc.nat(60),
    boot: fc.nat(9).map((n) => (n === 0 ? 1 : 0)),
    bad: fc.nat(19).map((n) => n === 0),
    cut: fc.nat(39).map((n) => n === 0),
  }),
  { minLength: 20, maxLength: 300 },
);

test('acknowledged is stored, under duplicates, disorder, collisions, bad rows and lost connections', async () => {
  await fc.assert(
    fc.asyncProperty(given, fc.integer({ min: 1, max: 60 }), async (drafts, maxRows) => {
      const hosts = [newId(), newId(), newId()];
      const boots = [newId(), newId()];
      const writer = new SampleWriter({ sql: database.sql, probeMs: 5, gatherMs: 2, maxRows });
      const rowOf = ({ host, at, boot, bad }: (typeof drafts)[number]): SampleRow => {
        const seq = bad ? 1e30 : at + 1;
        return {
          host: hosts[host]!,
          kind: 'sample',
          at: 1_700_000_000_000 + at,
          boot: boots[boot]!,
          seq,
          frame: `{"at":${at},"boot":${boot}}`,
        };
      };
      const answers = await Promise.all(
        drafts.map(async (draft) => {
          if (draft.cut) {
            await database.sql`
              select pg_terminate_backend(pid) from pg_stat_activity
              where datname = current_database() and query like '%insert into sample_hot%' and pid <> pg_backend_pid()`.catch(() => {});
          }
          const row = rowOf(draft);
          let last = '';
          // As an agent does: what passes is sent again.
          await until(async () => {
            last = await writer.add(row).then(
              () => 'committed',
              (error: unknown) => (error as WriteError).fault,
            );
            return last !== 'away' && last !== 'full';
          });
          return { draft, row, last };
        }),
      );
      await writer.close();
      expect(writer.depth).toEqual({ rows: 0, bytes: 0 });
      const stored = await database.sql<SampleRow[]>`
        select host, kind, (extract(epoch from at) * 1000)::float8 as at, boot, seq, convert_from(frame, 'UTF8') as frame
        from sample_hot where host = any(${hosts}::uuid[])`;
      const placeOf = ({ host, at }: SampleRow): string => `${host} ${at}`;
      const byPlace = new Map(stored.map((row) => [placeOf(row), row]));
      expect(byPlace.size).toBe(stored.length);
      for (const { draft, row, last } of answers) {
        const there = byPlace.get(placeOf(row));
        if (draft.bad) expect(last).toBe('data');
        else if (last === 'committed') expect(there).toEqual(row);
        else {
          expect(last).toBe('conflict');
          expect(there?.boot).not.toBe(row.boot);
        }
      }
    }),
    { seed: seedFor('writer'), numRuns: 30, endOnFailure: true },
  );
}, 120_000);
