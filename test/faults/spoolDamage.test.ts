/** R20: bits flipped and files cut at random, by seed. `HOSTROOM_FAULT_SEEDS=1000` for the long run. */

import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { findRecord } from '../../agent/spool/record.ts';
import { openTestSpool, segmentFiles, seqsOf, upTo } from '../support/spool.ts';

const seeds = Number(process.env['HOSTROOM_FAULT_SEEDS'] ?? 100);
const firstSeed = Number(process.env['HOSTROOM_FAULT_SEED'] ?? Math.floor(Math.random() * 1e9));

/** Mulberry32: the same numbers for the same seed. */
function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), state | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return Math.floor((((value ^ (value >>> 14)) >>> 0) / 4294967296) * below);
  };
}

/** Every record that is whole in these files, by what a reader that looks at every byte finds. */
function goodNumbers(files: readonly string[]): Set<number> {
  const numbers = new Set<number>();
  for (const path of files) {
    const data = readFileSync(path);
    for (let found = findRecord(data, 0); found.record; found = findRecord(data, found.end)) numbers.add(found.record.seq);
  }
  return numbers;
}

type Damage = 'flip' | 'cut' | 'zero' | 'empty' | 'insert' | 'remove';
const kinds: Damage[] = ['flip', 'flip', 'flip', 'cut', 'zero', 'insert', 'empty', 'remove'];

/** Gives the seqs that were surely damaged or taken away. */
function damage(path: string, kind: Damage, random: (below: number) => number): void {
  const data = readFileSync(path);
  if (data.length === 0) return;
  const at = random(data.length);
  if (kind === 'flip') {
    data[at]! ^= 1 << random(8);
    writeFileSync(path, data);
  } else if (kind === 'zero') {
    data.fill(0, at, Math.min(data.length, at + 1 + random(5_000)));
    writeFileSync(path, data);
  } else if (kind === 'insert') {
    const strange = Buffer.from(Array.from({ length: 1 + random(300) }, () => random(256)));
    // The sign of a record, with a length that leads far away.
    if (random(2) === 0) Buffer.from([0xff, 0x68, 0x72, 0xfe, 0, random(256), random(8), 0]).copy(strange);
    writeFileSync(path, Buffer.concat([data.subarray(0, at), strange, data.subarray(at)]));
  } else if (kind === 'remove') rmSync(path);
  else truncateSync(path, kind === 'empty' ? 0 : at);
}

test(`damaged records are skipped and counted, the others delivered in order (${seeds} seeds from ${firstSeed})`, async () => {
  const parent = mkdtempSync(join(tmpdir(), 'spool-'));
  onTestFinished(() => rmSync(parent, { recursive: true, force: true }));
  let damaged = 0;
  let delivered = 0;
  for (let seed = firstSeed; seed < firstSeed + seeds; seed += 1) {
    const random = randomOf(seed);
    const folder = join(parent, String(seed));
    mkdirSync(folder);
    const maxBytes = 2 ** 20;
    const count = 30 + random(300);
    const first = openTestSpool({ folder, maxBytes });
    first.add(12);
    await first.tick();
    for (let index = 12; index < count; index += 1) first.add(1, random(2_500));
    first.spool.close();
    const files = segmentFiles(folder);
    const isPositionDamaged = random(4) === 0;
    for (let times = random(6); times >= 0; times -= 1) {
      const path = files[random(files.length)]!;
      if (segmentFiles(folder).includes(path)) damage(path, kinds[random(kinds.length)]!, random);
    }
    if (isPositionDamaged) writeFileSync(join(folder, 'position'), Buffer.from([random(256), random(256)]));
    const good = goodNumbers(segmentFiles(folder));
    const second = openTestSpool({ folder, maxBytes });
    // New ones go behind the damage.
    second.add(15);
    await second.tick();
    const got = await second.deliver();
    const old = seqsOf(got.filter(({ boot }) => boot === first.boot));
    const what = `seed ${seed}`;
    expect(old, what).toEqual([...good].toSorted((one, other) => one - other));
    expect(seqsOf(got.filter(({ boot }) => boot === second.boot)), what).toEqual(upTo(15));
    expect([second.spool.depth, second.spool.backlog], what).toEqual([0, 0]);
    // Nothing tells of records cut from the very end, or of whole files taken away there.
    const lastGood = Math.max(0, ...good);
    const lost = second.spool.untold.reduce((sum, { samples }) => sum + samples, 0);
    const missing = upTo(count).filter((seq) => !good.has(seq));
    const inside = missing.filter((seq) => seq < lastGood && (seq > Math.min(...good) || !isPositionDamaged));
    expect(lost, what).toBeGreaterThanOrEqual(inside.length - first.spool.dropped);
    expect(lost, what).toBeLessThanOrEqual(missing.length + 1);
    damaged += missing.length;
    delivered += old.length;
    rmSync(folder, { recursive: true });
  }
  process.stdout.write(`spool damage: ${seeds} seeds from ${firstSeed}: ${damaged} records damaged and skipped, ${delivered} delivered\n`);
}, 600_000);

test(`bits that flip while the agent runs (${seeds} seeds from ${firstSeed})`, async () => {
  const parent = mkdtempSync(join(tmpdir(), 'spool-'));
  onTestFinished(() => rmSync(parent, { recursive: true, force: true }));
  for (let seed = firstSeed; seed < firstSeed + seeds; seed += 1) {
    const random = randomOf(seed);
    const folder = join(parent, String(seed));
    const { spool, add, tick, deliver } = openTestSpool({ folder, maxBytes: 2 ** 20 });
    add(12);
    await tick();
    add(200, 1_000);
    const damages = 1 + random(5);
    for (let times = 0; times < damages; times += 1) {
      const files = segmentFiles(folder);
      const path = files[random(files.length)]!;
      const data = readFileSync(path);
      data[random(data.length)]! ^= 1 << random(8);
      // Into the same file, as a disk does it.
      writeFileSync(path, data, { flag: 'r+' });
    }
    const got = seqsOf(await deliver());
    expect(got.length + spool.dropped, `seed ${seed}`).toBe(212);
    expect(got, `seed ${seed}`).toEqual([...new Set(got)].toSorted((one, other) => one - other));
    expect(spool.dropped, `seed ${seed}`).toBeLessThanOrEqual(damages);
    rmSync(folder, { recursive: true });
  }
}, 600_000);
