/** R15: one room that everybody watches: each publication is made into a frame once, whoever gets it. */

import { randomBytes } from 'node:crypto';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import process from 'node:process';
import { setTimeout as wait } from 'node:timers/promises';
import { expect, onTestFinished } from 'vitest';
import { conversationRoom, hostRoom } from '../../src/protocol/rooms.ts';
import { needs } from '../support/needs.ts';
import { startCrowd } from '../support/faults/crowd.ts';
import { makeVisitors } from '../support/faults/people.ts';
import { processorSeconds } from '../support/faults/process.ts';
import { startRig } from '../support/faults/rig.ts';
import { percentile, printFigures, sized } from '../support/faults/scale.ts';
import { until } from '../support/until.ts';

const viewers = sized(200, 1_000);
const seconds = sized(2, 30);
const messagesPerSecond = 10;

needs('linux').test(
  `${viewers} viewers of one host and its conversation: a sample a second, ${messagesPerSecond} messages a second`,
  async () => {
    const secretKey = randomBytes(32).toString('base64');
    const rig = await startRig(onTestFinished, { environment: { SECRET_KEY: secretKey } });
    const [agent] = await rig.load(1, { intervalMs: 1_000 });
    const host = agent!.host()!;
    const visitors = await makeVisitors(rig.sql, viewers, secretKey);
    const rooms = [hostRoom(host), conversationRoom(host)];
    const shown: Record<string, number> = { sample: 0, message: 0 };
    const lagsMs: Record<string, number[]> = { sample: [], message: [] };
    const crowd = startCrowd({
      url: `${rig.hub.url.replace('http', 'ws')}/connection/websocket`,
      size: viewers,
      token: (n) => visitors[n]!.accessToken,
      rooms: () => rooms,
      publication: (_n, _room, { data }) => {
        const kind = data['kind'] as string;
        shown[kind] = (shown[kind] ?? 0) + 1;
        // Both clocks are this machine's: a message says when it was written, a sample when it was taken.
        lagsMs[kind]?.push(Date.now() - Number(kind === 'message' ? data['text'] : data['at']));
      },
    });
    onTestFinished(() => crowd.close());
    await until(() => crowd.joined() === viewers, 'all are in', 60_000);
    await wait(1_000);

    const frames = (): Promise<number> => rig.metric('hostroom_deliver_seconds_count');
    const pushes = (): Promise<number> => rig.metric('hostroom_messages_sent_total', '{kind="push"}');
    const [framesBefore, pushesBefore] = [await frames(), await pushes()];
    for (const kind of Object.keys(shown)) shown[kind] = 0;
    for (const lags of Object.values(lagsMs)) lags.length = 0;
    const pid = rig.hub.child.pid!;
    const cpuBefore = processorSeconds(pid);
    const ownCpuBefore = processorSeconds(process.pid);
    const ownLag = monitorEventLoopDelay({ resolution: 5 });
    ownLag.enable();
    onTestFinished(() => void ownLag.disable());
    const startedMs = performance.now();
    const posts: Promise<Response>[] = [];
    for (let n = 0; n < seconds * messagesPerSecond; n++) {
      posts.push(rig.person.call('POST', `/rooms/${host}/messages`, { text: String(Date.now()), key: `hot ${n}` }));
      // oxlint-disable-next-line no-await-in-loop -- one after the other in time
      await wait(Math.max(0, startedMs + (n + 1) * (1_000 / messagesPerSecond) - performance.now()));
    }
    for (const answer of await Promise.all(posts)) expect(answer.status).toBe(201);
    await until(() => shown['message'] === posts.length * viewers, 'everyone has every message', 60_000);
    const tookS = (performance.now() - startedMs) / 1_000;
    const cpu = processorSeconds(pid) - cpuBefore;
    const ownCpu = processorSeconds(process.pid) - ownCpuBefore;
    const [framesMade, pushed] = [(await frames()) - framesBefore, (await pushes()) - pushesBefore];
    printFigures('R15 hot room', {
      viewers,
      messages: posts.length,
      samplesShown: shown['sample'],
      framesMade,
      pushed,
      pushesPerFrame: Math.round(pushed / framesMade),
      percentOfACore: Math.round((cpu / tookS) * 100),
      // Of what measures: where it is busy, milliseconds are its own.
      viewersPercentOfACore: Math.round((ownCpu / tookS) * 100),
      viewersLoopLagP99Ms: Math.round(ownLag.percentile(99) / 1e6),
      messageMsMedian: percentile(lagsMs['message']!, 0.5),
      messageMsP99: percentile(lagsMs['message']!, 0.99),
      sampleMsP99: percentile(lagsMs['sample']!, 0.99),
    });
    // A room's frame holds what was published in it within one turn: at most as many as there were publications, here and in the fleet.
    expect(framesMade).toBeLessThanOrEqual(posts.length + 3 * Math.ceil(tookS) + 3);
    expect(pushed).toBeGreaterThanOrEqual(posts.length * viewers);
    expect(await rig.metric('hostroom_slow_clients_closed_total')).toBe(0);
  },
  sized(60_000, 180_000),
);
