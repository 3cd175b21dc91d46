/** R04, R20 end to end: an agent is killed without warning while its hub is away, its spool damaged; what is whole arrives, once. */

import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { needs } from '../support/needs.ts';
import { broken } from '../support/faults/checker.ts';
import { startFaultProxy } from '../support/faults/faultProxy.ts';
import { startLoadAgent } from '../support/faults/loadAgent.ts';
import { startRig, untilDelivered } from '../support/faults/rig.ts';
import { printFigures, sized } from '../support/faults/scale.ts';
import { seedFor } from '../support/seed.ts';
import { until } from '../support/until.ts';

const agentCount = sized(12, 100);
/** Below what the spool takes: nothing may be dropped for want of space. */
const waiting = sized(700, 1_200);

/** So small that there are several segments. */
const spoolBytes = 1024 * 1024;

type Damage = 'untouched' | 'flipped' | 'cut' | 'cut in the newest';

/** Flips a bit or cuts, in one of the segments; nothing for every fourth. */
function damage(folder: string, random: () => number): Damage {
  const segments = readdirSync(folder)
    .filter((name) => name.endsWith('.segment'))
    .toSorted();
  const name = segments[Math.floor(random() * segments.length)]!;
  const path = join(folder, name);
  const data = readFileSync(path);
  const at = Math.floor(random() * data.length);
  const dice = random();
  if (dice < 0.25) return 'untouched';
  if (dice < 0.6) {
    data[at]! ^= 1 << Math.floor(random() * 8);
    writeFileSync(path, data);
    return 'flipped';
  }
  truncateSync(path, at);
  return name === segments.at(-1) ? 'cut in the newest' : 'cut';
}

needs('linux').test(
  'agents killed while the hub is away, their spools damaged: what is whole arrives once, what is not is counted',
  async () => {
    let seed = seedFor('R20 end to end') >>> 0;
    const random = (): number => {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
      return seed / 2 ** 32;
    };
    const rig = await startRig(onTestFinished);
    const proxy = await startFaultProxy({ host: '127.0.0.1', port: Number(new URL(rig.hub.url).port) });
    onTestFinished(() => proxy.close());
    const hubUrl = `http://127.0.0.1:${proxy.port}`;
    const first = await rig.load(agentCount, { intervalMs: 50, hubUrl, spoolBytes });
    proxy.refuse(true);
    proxy.reset();
    // From the first one that waits for 10 s on, all goes to disk at once.
    await until(() => first.every((agent) => agent.spool.bytes > 0), 'all write to disk', 60_000);
    await until(
      () => {
        for (const agent of first) for (let i = 0; i < 20 && agent.depth < waiting; i++) agent.sample();
        return first.every((agent) => agent.depth >= waiting);
      },
      'much waits',
      sized(120_000, 600_000),
    );
    const waited = first.reduce((sum, agent) => sum + agent.depth, 0);
    await Promise.all(first.map((agent) => agent.abandon()));
    // Samples taken faster than the clock runs are stamped ahead of it; the next boot must not take those times again.
    const newest = Math.max(...first.flatMap((agent) => agent.ledger().map(({ at }) => at ?? 0)));
    await until(() => Date.now() > newest + 100, 'the times given away are over');
    const damages = first.map((agent) => damage(join(agent.stateDir, 'spool'), random));

    proxy.refuse(false);
    const second = first.map((agent) =>
      startLoadAgent({
        hubUrl,
        enrolmentToken: '',
        stateDir: agent.stateDir,
        name: 'again',
        intervalMs: 100,
        spoolBytes,
        witness: agent.witness,
      }),
    );
    onTestFinished(async () => void (await Promise.all(second.map((agent) => agent.close()))));
    await until(() => second.every((agent) => agent.depth <= 3 && agent.spool.backlog === 0), 'all is delivered', 180_000);
    for (const agent of second) agent.stopSampling();
    await untilDelivered(second);
    const verdict = await rig.verdict(second);
    const counted = second.reduce((sum, agent) => sum + agent.spool.dropped, 0);
    const times = Object.fromEntries([...Map.groupBy(damages, (one) => one)].map(([one, list]) => [one, list.length]));
    printFigures('R04, R20 spools killed and damaged', { agents: agentCount, waited, ...times, countedAsLost: counted, ...verdict });
    expect(broken(verdict)).toEqual({});
    for (const [i, agent] of second.entries()) {
      const { lost } = await rig.verdict([agent]);
      // How far the newest segment reached is known to nobody when its end is gone: that counts as one.
      if (damages[i] === 'cut in the newest') expect(agent.spool.dropped).toBeLessThanOrEqual(Math.max(1, lost));
      else expect(agent.spool.dropped, damages[i]).toBe(lost);
      if (damages[i] === 'untouched') expect(lost).toBe(0);
      if (damages[i] === 'flipped') expect(lost).toBeLessThanOrEqual(2);
    }
  },
  sized(300_000, 1_800_000),
);
