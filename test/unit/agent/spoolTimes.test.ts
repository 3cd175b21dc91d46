import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { hubEpochMs, openTestSpool, upTo } from '../../support/spool.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'spool-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
});

test('what was written before hub time was known gets it, the same at every reading', async () => {
  const first = openTestSpool({ folder, hubMs: undefined, wallMs: 5_000_000 });
  first.add(30);
  await first.tick();
  first.clock.sync(hubEpochMs, first.time.nowMs, first.time.nowMs);
  first.spool.stamp();
  const inMemory = [...first.spool.unacknowledged()].map(({ seq, at }) => ({ seq, at }));
  first.add(1);
  await first.tick();
  // Killed; the next process has another monotonic clock and a wall clock that is an hour off.
  const second = openTestSpool({ folder, nowMs: 77, wallMs: hubEpochMs + 3_600_000, hubMs: hubEpochMs + 60_000 });
  const got = (await second.deliver()).map(({ seq, at }) => ({ seq, at }));
  expect(got.slice(10, 30)).toEqual(inMemory);
  expect(got.map(({ at }) => at)).toEqual([...upTo(30).map((index) => hubEpochMs + (index - 31) * 1_000), hubEpochMs + 1_000]);
});

test('a process that never knew hub time: its wall clock counts, corrected by what is known later', async () => {
  const first = openTestSpool({ folder, hubMs: undefined, wallMs: hubEpochMs - 7_200_000 });
  first.add(30);
  first.spool.close();
  // The machine's clock is still two hours behind.
  const openLater = () => openTestSpool({ folder, nowMs: 5, wallMs: hubEpochMs - 7_200_000 + 90_000, hubMs: hubEpochMs + 90_000 });
  const second = openLater();
  const read = async () => (await second.spool.readBacklog()).entries.map(({ at }) => at);
  const expected = upTo(30).map((index) => hubEpochMs + index * 1_000);
  expect(await read()).toEqual(expected);
  await second.tick();
  // Killed before it was answered: the same times again, whatever the clocks say now.
  const third = openTestSpool({ folder, nowMs: 5, wallMs: 99, hubMs: hubEpochMs + 999_999 });
  expect((await third.spool.readBacklog()).entries.map(({ at }) => at)).toEqual(expected);
});

test('a clock that jumps an hour either way changes no time', async () => {
  for (const jumpMs of [3_600_000, -3_600_000]) {
    rmSync(folder, { recursive: true, force: true });
    const { add, time, deliver, spool, tick } = openTestSpool({ folder });
    add(30);
    time.wallMs += jumpMs;
    add(30);
    await tick();
    expect(spool.ageMs).toBe(60_000);
    expect((await deliver()).map(({ at }) => at)).toEqual(upTo(60).map((index) => hubEpochMs + index * 1_000));
  }
});
