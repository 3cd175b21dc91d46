import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { encodeRecord } from '../../../agent/spool/record.ts';
import { segmentName } from '../../../agent/spool/segments.ts';
import { openTestSpool, segmentFiles, seqsOf, upTo } from '../../support/spool.ts';

const nobody = 65_534;
let folder: string;

beforeEach(() => {
  const parent = mkdtempSync(join(tmpdir(), 'spool-'));
  folder = join(parent, 'spool');
  onTestFinished(() => rmSync(parent, { recursive: true, force: true }));
});

test('nothing is written while the hub answers', async () => {
  const { spool, add, tick } = openTestSpool({ folder });
  for (let index = 0; index < 30; index += 1) {
    for (const entry of add(1)) spool.forget(entry);
    await tick();
  }
  expect(readdirSync(folder)).toEqual([]);
  expect([spool.depth, spool.bytes, spool.dropped, spool.ageMs]).toEqual([0, 0, 0, 0]);
});

test('what waits for 10 s goes to disk with all that is new, until the hub answers in time', async () => {
  const { spool, journal, add, tick, deliver } = openTestSpool({ folder });
  add(5);
  await tick();
  expect(journal.waiting).toBe(0);
  add(5);
  await tick();
  expect(journal.waiting).toBe(10);
  add(1);
  expect(journal.waiting).toBe(11);
  add(289);
  expect(spool.depth).toBe(300);
  expect([...spool.unacknowledged()]).toHaveLength(20);
  expect(spool.backlog).toBe(280);
  expect(seqsOf(await deliver())).toEqual(upTo(300));
  expect([spool.depth, spool.bytes, segmentFiles(folder)]).toEqual([0, 0, []]);
  const [live] = add(1);
  spool.forget(live!);
  add(1);
  expect(journal.waiting).toBe(0);
});

test('the files are of their owner alone', async () => {
  const { spool, add } = openTestSpool({ folder });
  add(3);
  spool.close();
  expect(statSync(folder).mode & 0o777).toBe(0o700);
  const files = readdirSync(folder);
  expect(files.map((name) => statSync(join(folder, name)).mode & 0o777)).toEqual(files.map(() => 0o600));
});

test('what one process leaves the next delivers, with its own boot, seq and time', async () => {
  const first = openTestSpool({ folder });
  const added = first.add(50);
  first.spool.close();
  const second = openTestSpool({ folder });
  expect(second.spool.depth).toBe(50);
  const got = await second.deliver();
  const shown = (entries: typeof got) => entries.map(({ boot, seq, at, kind, body }) => ({ boot, seq, at, kind, body }));
  expect(shown(got)).toEqual(shown(added));
  second.spool.close();
  expect(openTestSpool({ folder }).spool.depth).toBe(0);
});

test('processes that leave a single sample each: the next delivers all of them', async () => {
  for (let n = 0; n < 3; n++) {
    const at = openTestSpool({ folder });
    at.add(1);
    at.spool.close();
  }
  const { spool, deliver } = openTestSpool({ folder });
  expect(await deliver()).toHaveLength(3);
  expect(spool.dropped).toBe(0);
});

test('a killed process loses nothing that was written, and what was committed does not come again', async () => {
  const first = openTestSpool({ folder });
  first.add(500);
  await first.tick();
  const backlog = await first.spool.readBacklog();
  expect(backlog.entries).toHaveLength(50);
  first.spool.forgetBacklog(backlog);
  await first.tick();
  // Not closed: nothing more is written, as by a kill.
  const second = openTestSpool({ folder });
  expect(second.spool.depth).toBe(450);
  second.add(7);
  expect(seqsOf(await second.deliver())).toEqual([...upTo(500, 51), ...upTo(7)]);
});

test('answers out of order: only what is not answered is sent again', async () => {
  const { spool, journal, add, tick, deliver } = openTestSpool({ folder });
  const entries = add(40);
  await tick();
  for (const entry of entries) if (entry.seq % 3 !== 0) spool.forget(entry);
  expect(spool.depth).toBe(13);
  expect(journal.waiting).toBe(13);
  expect(seqsOf(await deliver())).toEqual(upTo(13).map((index) => index * 3));
  expect(segmentFiles(folder)).toEqual([]);
  // Answered once more, late: nothing happens.
  for (const entry of entries) spool.forget(entry);
  expect(spool.depth).toBe(0);
});

test('names sort as they were written: from 9 to 10, from 99999999 on', async () => {
  const first = openTestSpool({ folder, maxBytes: 2 ** 20 });
  first.add(120, 8_000);
  first.spool.close();
  const files = segmentFiles(folder);
  expect(files.length).toBeGreaterThan(12);
  expect(files.map((path) => Number(/(\d+)\.segment/.exec(path)![1]))).toEqual(
    files.map((path) => Number(/(\d+)\.segment/.exec(path)![1])).toSorted((one, other) => one - other),
  );
  expect(seqsOf(await openTestSpool({ folder, maxBytes: 2 ** 20 }).deliver())).toEqual(upTo(120));
  for (const number of [9, 10, 99_999_999, 100_000_000]) expect(segmentName(number)).toHaveLength(24);
  expect([100_000_000, 10, 99_999_999, 9].map(segmentName).toSorted()).toEqual([9, 10, 99_999_999, 100_000_000].map(segmentName));
});

test('counting goes on where an earlier process ended, also over 99999999', async () => {
  mkdirSync(folder);
  const record = (number: number): Buffer =>
    encodeRecord({ number, kind: 'sample', boot: 'b', seq: number, takenMs: number, wallMs: 0, at: 1, body: '"metrics":{}' })!;
  writeFileSync(join(folder, segmentName(99_999_990)), Buffer.concat(upTo(99_999_999, 99_999_990).map(record)));
  const { spool, add, deliver, tick } = openTestSpool({ folder });
  expect(spool.depth).toBe(10);
  add(11);
  await tick();
  expect(segmentFiles(folder).map((path) => path.slice(-24))).toEqual([segmentName(99_999_990), segmentName(100_000_000)]);
  expect(seqsOf(await deliver())).toEqual([...upTo(99_999_999, 99_999_990), ...upTo(11)]);
  expect(spool.untold).toEqual([]);
});

test('bounded by bytes: the oldest go, counted, with the time they stood for', async () => {
  const { spool, add, deliver, tick } = openTestSpool({ folder, maxBytes: 2 ** 20 });
  const entries = add(12, 1_300);
  await tick();
  entries.push(...add(1_989, 1_300));
  expect(spool.bytes).toBeLessThanOrEqual(2 ** 20);
  const [loss] = spool.untold;
  expect(spool.untold).toEqual([{ why: 'space', samples: spool.dropped, from: expect.any(Number), to: expect.any(Number) }]);
  const got = await deliver();
  expect(seqsOf(got)).toEqual(upTo(2_001, spool.dropped + 1));
  expect([loss!.from, loss!.to]).toEqual([entries[0]!.at, entries[spool.dropped - 1]!.at]);
  expect(got.length).toBeGreaterThan(600);
});

test('bounded by age', async () => {
  const { spool, add, tick, deliver, time } = openTestSpool({ folder, maxBytes: 2 ** 20, maxAgeMs: 3_600_000 });
  add(100, 1_300);
  await tick();
  time.nowMs += 3_600_000;
  add(100, 1_300);
  await tick();
  expect(spool.untold).toMatchObject([{ why: 'age' }]);
  // Whole segments: those that hold younger ones too stay.
  expect(spool.dropped).toBeGreaterThan(40);
  expect(seqsOf(await deliver())).toEqual(upTo(200, spool.dropped + 1));
});

test('losses are told once, and survive a restart until then', async () => {
  const first = openTestSpool({ folder, maxBytes: 2 ** 20 });
  first.add(12, 1_300);
  await first.tick();
  first.add(1_988, 1_300);
  first.spool.close();
  const second = openTestSpool({ folder, maxBytes: 2 ** 20 });
  expect(second.spool.untold).toEqual(first.spool.untold);
  second.spool.told(second.spool.untold);
  second.spool.close();
  expect(openTestSpool({ folder, maxBytes: 2 ** 20 }).spool.untold).toEqual([]);
});

test('a disk that takes nothing: memory holds what it can, the rest is counted; it is used again when it works', async () => {
  writeFileSync(folder, 'a file where the folder should be');
  const { spool, add, tick, deliver, lines } = openTestSpool({ folder });
  add(700);
  await tick();
  expect(spool.depth).toBe(600);
  expect(spool.untold).toMatchObject([{ why: 'disk_failed', samples: 100 }]);
  expect(lines.filter(({ msg }) => msg.includes('cannot use its disk'))).toHaveLength(1);
  rmSync(folder);
  await tick();
  expect(lines.at(-1)!.msg).toContain('can use its disk again');
  expect(spool.trouble).toBeUndefined();
  expect([...spool.unacknowledged()]).toHaveLength(20);
  expect(seqsOf(await deliver())).toEqual(upTo(700, 101));
});

test('a folder that may not be written is read all the same', async () => {
  if (process.getuid?.() === 0) {
    // Root may write everywhere: be nobody for this test.
    chownSync(dirname(folder), nobody, nobody);
    process.seteuid?.(nobody);
    onTestFinished(() => process.seteuid?.(0));
  }
  const first = openTestSpool({ folder });
  first.add(30);
  first.spool.close();
  chmodSync(folder, 0o500);
  onTestFinished(() => chmodSync(folder, 0o700));
  const second = openTestSpool({ folder });
  expect(seqsOf(await second.deliver())).toEqual(upTo(30));
});

test('a folder that is taken away is made again', async () => {
  const { spool, add, tick, deliver } = openTestSpool({ folder, maxBytes: 2 ** 20 });
  add(30, 8_000);
  await tick();
  renameSync(folder, `${folder}-gone`);
  add(30, 8_000);
  await tick();
  expect(existsSync(folder)).toBe(true);
  const got = seqsOf(await deliver());
  expect(got).toEqual(got.toSorted((one, other) => one - other));
  expect(got).toContain(60);
  expect(spool.depth).toBe(0);
});

test('a damaged position sends all again; a stray file is left alone', async () => {
  const first = openTestSpool({ folder });
  first.add(500);
  await first.tick();
  first.spool.forgetBacklog(await first.spool.readBacklog());
  first.spool.close();
  const path = join(folder, 'position');
  writeFileSync(join(folder, 'notes.txt'), 'mine');
  for (const damage of ['', 'x', '{"number":1}\n0\n', readFileSync(path, 'utf8').replace('"number":51', '"number":61')]) {
    writeFileSync(path, damage);
    const again = openTestSpool({ folder });
    expect((await again.spool.readBacklog()).entries[0]!.seq).toBe(1);
  }
  expect(readFileSync(join(folder, 'notes.txt'), 'utf8')).toBe('mine');
});

test('a publication larger than a hub takes stays in memory and holds nothing up', async () => {
  const { spool, add, tick } = openTestSpool({ folder });
  add(1, 200_000);
  add(30);
  await tick();
  expect([...spool.unacknowledged()].map(({ seq }) => seq)).toContain(1);
  expect(spool.backlog).toBe(11);
});

test('a machine that becomes another host takes nothing of the one before along, but what it publishes itself', async () => {
  const first = openTestSpool({ folder });
  first.spool.belongTo('one');
  first.add(100);
  first.spool.close();
  const same = openTestSpool({ folder });
  same.spool.belongTo('one');
  expect(same.spool.depth).toBe(100);
  same.spool.close();
  const other = openTestSpool({ folder });
  other.add(30);
  await other.tick();
  other.spool.belongTo('two');
  const got = await other.deliver();
  expect(new Set(got.map(({ boot }) => boot))).toEqual(new Set([other.boot]));
  expect(seqsOf(got)).toEqual(upTo(30));
  expect(other.spool.untold).toEqual([]);
  expect(other.lines.at(-1)!.msg).toContain('another host now');
});
