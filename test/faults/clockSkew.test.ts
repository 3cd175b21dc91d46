/** R23: hubs and agents whose clocks are wrong by an hour, or set while they run; the time of PostgreSQL is what counts. */

import { expect, onTestFinished } from 'vitest';
import { makeRunFolder } from '../support/hostroom.ts';
import { needs } from '../support/needs.ts';
import { startRig } from '../support/faults/rig.ts';
import { printFigures, sized } from '../support/faults/scale.ts';
import { until } from '../support/until.ts';
import { makeWrongClock } from '../support/wrongClock.ts';

const samplesEach = sized(6, 60);

needs('linux', 'faketime').test(
  'the clock of a hub is an hour ahead, then behind; those of agents are wrong the other way: all is stored in the time of PostgreSQL',
  async () => {
    const folder = makeRunFolder(onTestFinished, 'hostroom-clock-');
    const hubClock = makeWrongClock(folder, 'hub', 3_600);
    const rig = await startRig(onTestFinished, { environment: hubClock.environment });
    const names = ['behind', 'ahead', 'right'];
    await Promise.all(
      [-3_600, 3_600, 0].map((ahead, i) => {
        const { environment } = makeWrongClock(folder, names[i]!, ahead);
        return rig.realAgent({ environment: { HOST_NAME: names[i]!, ...environment } });
      }),
    );
    const rowsOf = (name: string): Promise<Row[]> =>
      rig.sql<Row[]>`
        select (extract(epoch from stored.at) * 1000)::float8 as at, stored.seq::float8 as seq, stored.boot,
          extract(epoch from now() - stored.at)::float8 as late
        from sample_hot stored join host on host.id = stored.host where host.name = ${name} order by stored.at, stored.seq`;
    const untilMore = async (more: number): Promise<void> => {
      const count = (): Promise<number[]> => Promise.all(names.map(async (name) => (await rowsOf(name)).length));
      const before = await count();
      await until(async () => (await count()).every((n, i) => n >= before[i]! + more), `${more} samples more of each`, 150_000);
    };
    await untilMore(samplesEach);
    hubClock.set(-3_600);
    await untilMore(samplesEach);
    const figures: Record<string, object> = {};
    for (const name of names) {
      const rows = await rowsOf(name);
      const seqs = rows.map((row) => row.seq);
      figures[name] = { rows: rows.length, newestLateS: rows.at(-1)!.late, oldestLateS: Math.round(rows[0]!.late) };
      expect(new Set(rows.map((row) => row.boot)).size, name).toBe(1);
      expect(seqs, name).toEqual(Array.from({ length: seqs.length }, (_, i) => seqs[0]! + i));
      // Nothing an hour off, nothing of the future.
      expect(
        rows.every(({ late }) => late > -2 && late < 600),
        JSON.stringify(figures[name]),
      ).toBe(true);
    }
    printFigures('R23 wrong clocks', figures);
    expect(rig.isUp()).toBe(true);
  },
  sized(180_000, 600_000),
);

interface Row {
  at: number;
  seq: number;
  boot: string;
  late: number;
}
