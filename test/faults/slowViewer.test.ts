/** R14: a viewer that stops reading: bounded memory, no message lost, its host's room taken up again, the others unharmed. */

import { setImmediate as turn } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { postMessage } from '../../src/actions/postMessage.ts';
import { maxQueuedBytes, slowBytes, type Client } from '../../src/hub/client.ts';
import { conversationRoom, hostRoom } from '../../src/protocol/rooms.ts';
import { freshDatabase } from '../support/database.ts';
import { RawClient } from '../support/rawClient.ts';
import { connectAgent } from '../support/samples.ts';
import { percentile, printFigures, sized } from '../support/faults/scale.ts';
import { startTestHub } from '../support/testHub.ts';
import { until } from '../support/until.ts';

const viewers = sized(10, 50);
const samples = sized(20, 400);
/** Well within the 30 s after which a slow viewer is given up; fewer samples then. */
const phaseMs = 12_000;
const messages = 20;
const atOnce = 10;
/** A sample of a big machine: some 50 KiB. */
const bigMetrics = Object.fromEntries(Array.from({ length: 1_800 }, (_, n) => [`net.interface${n}.receive`, 1e9 + n / 7]));
const mebibyte = 2 ** 20;

test(`one of ${viewers + 1} viewers stops reading, and reads again; then it stops for good`, async () => {
  const hub = await startTestHub(onTestFinished, { database: await freshDatabase(onTestFinished) });
  const host = await hub.addHost();
  const agent = await connectAgent(hub, host);
  const [samplesOf, talkOf] = [hostRoom(host.id), conversationRoom(host.id)];
  const person = await hub.addPerson('member');
  const author = { author: { id: person.id, name: person.name }, role: 'member' as const, client: 'test' };

  const watch = async (): Promise<RawClient> => {
    const client = await RawClient.connect(hub.url, person.accessToken);
    onTestFinished(() => client.close());
    for (const channel of [samplesOf, talkOf]) expect((await client.call('subscribe', { channel })).error).toBeUndefined();
    return client;
  };
  const others = await Promise.all(Array.from({ length: viewers }, watch));
  const slow = await watch();
  const inHub = [...hub.hub.clients()].at(-1)!;

  const lastOf = (client: RawClient): unknown => client.pushes.findLast((push) => push.channel === samplesOf && push.pub)?.pub?.data['seq'];
  const stateOf = (client: RawClient): object => ({
    last: lastOf(client),
    closed: client.closed,
    told: client.pushes.filter((push) => push.unsubscribe),
  });
  const seenByOthers = async (seq: number): Promise<void> => {
    const deadline = performance.now() + 30_000;
    while (!others.every((client) => lastOf(client) === seq)) {
      if (performance.now() > deadline)
        throw new Error(`sample ${seq} is not shown to ${JSON.stringify(others.filter((client) => lastOf(client) !== seq).map(stateOf))}`);
      // oxlint-disable-next-line no-await-in-loop -- looked at in every turn, to tell milliseconds
      await turn();
    }
  };

  let newest = 0;
  /** Publishes so many samples, or as many as there is time for, one after the other has been seen by all others; gives how long that took each time, in ms. */
  const publish = async (count: number, each?: () => void): Promise<number[]> => {
    const tookMs: number[] = [];
    const endMs = performance.now() + phaseMs;
    for (let n = 0; n < count && performance.now() < endMs; n++) {
      const sample = agent.sample({ metrics: bigMetrics });
      newest = sample.seq;
      const startedMs = performance.now();
      // oxlint-disable-next-line no-await-in-loop -- one at a time is what is measured
      const [reply] = await Promise.all([
        agent.publish(sample),
        seenByOthers(sample.seq).then(() => tookMs.push(performance.now() - startedMs)),
      ]);
      expect(reply.error).toBeUndefined();
      // Big samples of many viewers would fill this process.
      for (const client of others) client.pushes.splice(0, Infinity, ...client.pushes.filter((push) => push.channel === talkOf));
      each?.();
    }
    return tookMs;
  };
  const say = async (text: string): Promise<void> => void (await postMessage(hub.conversation, author, host.id, { text }));

  const without = await publish(samples);
  slow.ws.pause();
  let most = 0;
  const look = (): void => void (most = Math.max(most, inHub.wire.queuedBytes));
  let published = 0;
  while (!inHub.isSlow && published++ < 2_000) await publish(1, look);
  expect(inHub.isSlow).toBe(true);
  // What is said while it does not read.
  for (let n = 0; n < messages; n++) await say(`message ${n} ${'x'.repeat(2_000)}`);
  const withSlow = await publish(samples, look);
  look();
  expect(inHub.rooms.get(samplesOf)?.state).toBe('paused');
  expect(inHub.rooms.get(talkOf)?.state).toBe('live');
  const heldBack = inHub.wire.queuedBytes;

  slow.ws.resume();
  const ended = await until(() => slow.pushes.find((push) => push.unsubscribe), 'it is told to recover');
  expect(ended).toMatchObject({ channel: samplesOf, unsubscribe: { code: 2500 } });
  await until(() => slow.publications(talkOf).length === messages, 'it has every message');
  expect(slow.publications(talkOf).map(({ text }) => String(text).split(' ', 2).join(' '))).toEqual(
    Array.from({ length: messages }, (_, n) => `message ${n}`),
  );
  expect(slow.pushes.filter((push) => push.unsubscribe)).toHaveLength(1);
  const offset = slow.pushes.findLast((push) => push.channel === samplesOf && push.pub)!.pub!.offset;
  const back = await slow.call('subscribe', { channel: samplesOf, recover: true, offset, epoch: agent.boot });
  // All of it fits into a recovery, or it begins at the newest.
  expect(back['subscribe'].recovered === true || back['subscribe'].offset === newest).toBe(true);
  await until(() => !inHub.isSlow, 'it counts as quick again');
  // The machine may have changed meanwhile.
  const after = await publish(samples);

  // For good: what is said grows over the cap.
  slow.ws.pause();
  let said = 0;
  for (; !inHub.closed && said < 20_000; said += atOnce) {
    // oxlint-disable-next-line no-await-in-loop -- until it is too much
    await Promise.all(Array.from({ length: atOnce }, () => say('y'.repeat(7_000))));
    look();
  }
  expect(inHub.closed).toBe(true);
  slow.ws.resume();
  await until(() => slow.closed, 'it is told why');
  expect(slow.closed).toEqual({ code: 3008, reason: 'slow' });
  for (const client of others) await until(() => client.publications(talkOf).length === messages + said, 'the others have every message');
  const msOf = (share: number): Record<string, number> => ({
    before: round(percentile(without, share)),
    with: round(percentile(withSlow, share)),
    after: round(percentile(after, share)),
  });
  const changePercent = (percentile(withSlow, 0.99) / percentile([...without, ...after], 0.99) - 1) * 100;
  printFigures('R14 slow viewer', {
    others: viewers,
    samples: { before: without.length, with: withSlow.length, after: after.length },
    samplesUntilSlow: published,
    mostQueuedMiB: Math.round((most / mebibyte) * 100) / 100,
    heldBackKiB: Math.round(heldBack / 1_024),
    messagesUntilClosed: said,
    othersMsP99: msOf(0.99),
    othersMsMedian: msOf(0.5),
    othersP99ChangePercent: Math.round(changePercent),
  });
  expect(most).toBeLessThanOrEqual(maxQueuedBytes);
  expect(heldBack).toBeGreaterThan(slowBytes);
  await turn();
  expect([...hub.hub.clients()].some((client: Client) => client === inHub)).toBe(false);
}, 180_000);

const round = (ms: number): number => Math.round(ms * 10) / 10;
