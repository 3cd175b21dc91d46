import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import type { Backlog, SpoolEntry } from '../../../agent/spool.ts';
import { seedFor } from '../../support/seed.ts';
import { openTestSpool, type TestSpool } from '../../support/spool.ts';

type Step =
  | { do: 'add'; count: number }
  | { do: 'tick' }
  /** The hub answers the one at this place among those in memory, or one answered before again. */
  | { do: 'answer'; place: number; again: boolean }
  | { do: 'read' }
  /** The hub answers the part of the backlog read last. */
  | { do: 'answer backlog' }
  | { do: 'kill' }
  | { do: 'stop' };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('add' as const), count: fc.integer({ min: 1, max: 30 }) }) },
  { weight: 4, arbitrary: fc.constant({ do: 'tick' as const }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('answer' as const), place: fc.nat(), again: fc.boolean() }) },
  { weight: 3, arbitrary: fc.constant({ do: 'read' as const }) },
  { weight: 3, arbitrary: fc.constant({ do: 'answer backlog' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'kill' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'stop' as const }) },
);

const nameOf = ({ boot, seq }: SpoolEntry): string => `${boot} ${seq}`;

test('whatever happens in whatever order: what was not answered comes, what was on disk outlives every kill', async () => {
  const seed = seedFor('spool model');
  const parent = mkdtempSync(join(tmpdir(), 'spool-'));
  onTestFinished(() => rmSync(parent, { recursive: true, force: true }));
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const folder = join(parent, String((runs += 1)));
      const answered = new Set<string>();
      /** Not answered and not lost by a kill. */
      const kept = new Set<string>();
      let all: SpoolEntry[] = [];
      let backlog: Backlog | undefined;
      let at: TestSpool = openTestSpool({ folder });
      const answer = (entry: SpoolEntry): void => {
        answered.add(nameOf(entry));
        kept.delete(nameOf(entry));
      };
      for (const one of steps) {
        const { spool } = at;
        if (one.do === 'add') {
          for (const entry of at.add(one.count)) {
            all.push(entry);
            kept.add(nameOf(entry));
          }
        } else if (one.do === 'tick') await at.tick();
        else if (one.do === 'answer') {
          const from = one.again ? all : [...spool.unacknowledged()];
          const entry = from[one.place % from.length];
          if (!entry) continue;
          spool.forget(entry);
          answer(entry);
        } else if (one.do === 'read') backlog = spool.backlog > 0 ? await spool.readBacklog() : backlog;
        else if (one.do === 'answer backlog') {
          if (!backlog) continue;
          backlog.entries.forEach(answer);
          spool.forgetBacklog(backlog);
          backlog = undefined;
        } else {
          if (one.do === 'stop') spool.close();
          else for (const entry of spool.unacknowledged()) if (!entry.written) kept.delete(nameOf(entry));
          const { time } = at;
          at = openTestSpool({ folder, nowMs: 5, wallMs: time.wallMs, hubMs: time.wallMs });
          all = [];
          backlog = undefined;
        }
      }
      const got = await at.deliver();
      const names = got.map(nameOf);
      expect(new Set(names).size).toBe(names.length);
      expect([...kept].filter((name) => !names.includes(name))).toEqual([]);
      // Oldest first within a boot.
      for (const boot of new Set(got.map((entry) => entry.boot))) {
        const seqs = got.filter((entry) => entry.boot === boot).map(({ seq }) => seq);
        expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
      }
      expect([at.spool.depth, at.spool.dropped, at.spool.bytes]).toEqual([0, 0, 0]);
      at.spool.close();
      rmSync(folder, { recursive: true, force: true });
    }),
    { seed, numRuns: 300 },
  );
}, 120_000);
