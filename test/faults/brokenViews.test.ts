/** The checker of the fault tests, on hubs that show viewers something wrong, each in one way. */

import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { broken, judge, type Sent, type Verdict } from '../support/faults/checker.ts';
import { startLiar, type Lies, type Told } from '../support/faults/liar.ts';
import { printFigures } from '../support/faults/scale.ts';
import { startViewer } from '../support/faults/viewer.ts';
import { freshDatabase } from '../support/database.ts';
import { startReplicas, type Replica } from '../support/replicas.ts';
import { connectAgent } from '../support/samples.ts';
import { startTestHub, type TestHub } from '../support/testHub.ts';
import { until } from '../support/until.ts';

let hub: TestHub;
beforeAll(async () => {
  hub = await startTestHub(afterAll, { database: await freshDatabase(afterAll) });
});

/** One of a hundred, and surely one of those that are sent. */
const isChosen = (n: number): boolean => n % 100 === 17;
const samplesEach = 200;

/** A viewer behind the liar sees a host's samples, loses its line once, and comes back. */
async function watch(title: string, lies: Lies, isSilentAtEnd = false): Promise<Verdict> {
  const host = await hub.addHost();
  const agent = await connectAgent(hub, host);
  onTestFinished(() => agent.client.close());
  const { accessToken } = await hub.addPerson();
  const liar = await startLiar(onTestFinished, hub.url, lies);
  const viewer = await startViewer(liar.url, () => Promise.resolve(accessToken), [host.id]);
  onTestFinished(() => viewer.close());
  const sent: Sent[] = [];
  const publish = async (count: number): Promise<void> => {
    const replies = Array.from({ length: count }, () => {
      const sample = agent.sample();
      const { boot, seq, at } = sample;
      sent.push({ host: host.id, boot, seq, at, acknowledged: true, kept: false });
      return agent.publish(sample);
    });
    for (const { error } of await Promise.all(replies)) expect(error).toBeUndefined();
  };
  await publish(samplesEach);
  await until(() => liar.heard === samplesEach, 'the hub has shown all');
  liar.cut();
  // Those of a recovery.
  await publish(10);
  await until(() => viewer.takeOutages().length > 0, 'the viewer is back');
  if (!isSilentAtEnd) liar.stop();
  const before = liar.heard;
  await publish(1);
  const last = sent.at(-1)!.seq;
  const isShown = (): boolean => viewer.views()[0]!.some((item) => 'seq' in item && item.seq === last);
  await until(() => (isSilentAtEnd ? liar.heard > before : isShown()), 'the last has come');
  const verdict = judge({
    sent,
    stored: sent.map(({ host: of, boot, seq, at }) => ({ host: of, boot, seq, at: at! })),
    views: viewer.views(),
    settled: true,
  });
  printFigures(title, verdict);
  return verdict;
}

const renumbered = ({ offset, data }: Told): Told => ({ offset, data: { ...data, seq: data.seq + 10_000 } });
/** The n-th waits for the one behind it. */
function swapping(): NonNullable<Lies['pushed']> {
  let held: Told[] = [];
  return (publication, n) => {
    if (isChosen(n)) held = [publication];
    return isChosen(n) ? [] : [publication, ...held.splice(0)];
  };
}

test('a hub that shows what it should: nothing is wrong', async () => {
  const verdict = await watch('as it should be', {});
  expect(broken(verdict)).toEqual({});
  expect(verdict.seen).toBe(samplesEach + 11);
  expect(verdict.marks).toBe(1);
});

describe('the checker fails on a hub that', () => {
  test.each<[string, keyof Verdict, () => Lies, boolean?]>([
    ['loses one of a hundred', 'unmarkedGaps', () => ({ pushed: (one, n) => (isChosen(n) ? [] : [one]) })],
    ['shows one of a hundred twice', 'shownAgain', () => ({ pushed: (one, n) => (isChosen(n) ? [one, one] : [one]) })],
    ['swaps two', 'shownAgain', () => ({ pushed: swapping() })],
    ['shows what nobody sent', 'invented', () => ({ pushed: (one, n) => (isChosen(n) ? [one, renumbered(one)] : [one]) })],
    ['recovers all but one', 'unmarkedGaps', () => ({ recovered: (all) => all.toSpliced(3, 1) })],
    ['recovers what was shown before', 'shownAgain', () => ({ recovered: (all) => [all[0]!, ...all] })],
    ['falls silent', 'behind', () => ({ pushed: (one, n) => (n < samplesEach ? [one] : []) }), true],
  ])('%s', async (what, fault, lies, isSilentAtEnd) => {
    expect(broken(await watch(what, lies(), isSilentAtEnd))).toHaveProperty(fault);
  });
});

describe('over two replicas whose relay is uneven', () => {
  /** Samples on one replica, a watcher on the other. */
  async function relay(over: { repeats?: boolean; loses?: boolean; trusting?: boolean }): Promise<Verdict> {
    let [n, isUneven] = [0, true];
    const chosen = (wanted = false): boolean => wanted && isUneven && isChosen(n++);
    const { all } = await startReplicas(hub, {
      count: 2,
      delayMs: () => 1,
      loses: () => chosen(over.loses),
      repeats: () => chosen(over.repeats),
      // It hands on what comes, whatever its position.
      receive: over.trusting
        ? (replica) =>
            (room, { data }) =>
              replica.deliver(room, { data })
        : undefined,
    });
    const [from, to] = all as [Replica, Replica];
    const host = await hub.addHost();
    const agent = await connectAgent(hub, host);
    onTestFinished(() => agent.client.close());
    const watcher = await to.watcher(host.id);
    const sent: Sent[] = [];
    const sample = async (): Promise<void> => {
      const one = agent.sample();
      const { boot, seq, at } = one;
      sent.push({ host: host.id, boot, seq, at, acknowledged: true, kept: false });
      await from.sample(host.id, one as Parameters<Replica['sample']>[1]);
    };
    await Promise.all(Array.from({ length: samplesEach }, sample));
    isUneven = false;
    await sample();
    const view = (): { boot: string; seq: number }[] => watcher.seen.flatMap((one) => ('data' in one ? [one.data as Sent] : []));
    await until(() => view().some(({ seq }) => seq === sent.length), 'the last is shown');
    const stored = sent.map(({ host: of, boot, seq, at }) => ({ host: of, boot, seq, at: at! }));
    return judge({ sent, stored, views: [view()], settled: true });
  }

  test('what it loses and repeats is mended', async () => {
    expect(broken(await relay({ loses: true }))).toEqual({});
    expect(broken(await relay({ repeats: true }))).toEqual({});
  });

  test('the checker fails on replicas that do not look at positions', async () => {
    expect(broken(await relay({ loses: true, trusting: true })).unmarkedGaps).toBeGreaterThan(0);
    expect(broken(await relay({ repeats: true, trusting: true })).shownAgain).toBeGreaterThan(0);
  });
});
