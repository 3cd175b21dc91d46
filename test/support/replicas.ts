/** Replicas in one process on one database: hub and streams of each, joined by an uneven bus, without sockets. */

import { onTestFinished } from 'vitest';
import { CatchUp, type CatchUpParts } from '../../src/actions/catchUp.ts';
import { postMessage } from '../../src/actions/postMessage.ts';
import { receiveRelayed } from '../../src/actions/receiveRelayed.ts';
import { insertSamples } from '../../src/data/samples.ts';
import { Hub } from '../../src/hub/hub.ts';
import { noMetrics } from '../../src/hub/metrics.ts';
import { newId } from '../../src/lib/id.ts';
import type { Position } from '../../src/protocol/commands.ts';
import type { Sample } from '../../src/protocol/kinds.ts';
import { conversationRoom, hostRoom } from '../../src/protocol/rooms.ts';
import type { RelayRecord } from '../../src/relay/relay.ts';
import { ConversationStream } from '../../src/streams/conversation.ts';
import { SampleStream, type SampleStreamOptions } from '../../src/streams/samples.ts';
import { FakeClient } from './fakeClient.ts';
import type { TestHub } from './testHub.ts';
import { UnevenBus, UnevenRelay, type Unevenness } from './unevenBus.ts';

export interface ReplicasOptions extends Unevenness {
  count: number;
  recent?: SampleStreamOptions['recent'];
  /** In place of what replicas do with records, to prove that a test notices a false one. */
  receive?: (hub: Hub) => (room: string, record: RelayRecord) => void;
  /** Without it rooms are not compared with PostgreSQL. */
  catchUp?: { areAway: () => boolean; times: ConstructorParameters<typeof CatchUp>[1] };
}

export interface Replica {
  hub: Hub;
  samples: SampleStream;
  /** Hosts whose agent is connected here. */
  agents: Set<string>;
  post(room: string, text: string): Promise<unknown>;
  /** As if the host's agent published here: shown, relayed, committed. */
  sample(host: string, sample: Sample): Promise<unknown>;
  /** Someone in the conversation on this replica; with a position, who comes back from there. */
  reader(room: string, from?: Position): Promise<FakeClient>;
  /** Someone in the host's live room on this replica. */
  watcher(host: string, from?: Position): Promise<FakeClient>;
}

export interface Replicas {
  all: Replica[];
  /** What their hubs dropped, by why. */
  dropped: Record<string, number>;
  /** What had to be read from PostgreSQL, by kind. */
  caughtUp: Record<string, number>;
  failures: unknown[];
}

/** They end with the test. `on` has the database. */
export async function startReplicas(on: TestHub, options: ReplicasOptions): Promise<Replicas> {
  const bus = new UnevenBus(options);
  const [dropped, caughtUp, failures]: [Record<string, number>, Record<string, number>, unknown[]] = [{}, {}, []];
  const { id, name } = await on.addPerson();
  const open = async (): Promise<Replica> => {
    const { sql, clock } = on;
    const relay = new UnevenRelay(bus);
    const hub = new Hub({ relay, metrics: { ...noMetrics, dropped: (what, more) => add(dropped, what, more) } });
    const conversations = new ConversationStream({ sql, epoch: on.conversations.epoch });
    const samples = new SampleStream({ sql, recent: options.recent });
    const agents = new Set<string>();
    const receive =
      options.receive?.(hub) ?? receiveRelayed({ hub, samples, conversations, dropped: () => add(dropped, 'relay_record', 1) });
    await hub.start(receive);
    const parts: CatchUpParts = {
      sql,
      hub,
      samples,
      conversations,
      clock,
      others: { areAway: () => options.catchUp?.areAway() ?? false, mayHold: (host) => !agents.has(host) },
      caughtUp: (kind, more) => add(caughtUp, kind, more),
      failed: (error) => void failures.push(error),
    };
    const catchUp = new CatchUp(parts, options.catchUp?.times);
    if (options.catchUp) catchUp.start();
    onTestFinished(async () => {
      await catchUp.close();
      await relay.close();
      await hub.close();
    });
    const enter = async (room: string, stream: ConversationStream | SampleStream, from?: Position): Promise<FakeClient> => {
      const client = new FakeClient(hub, newId(), room, { stream, joinLeave: false, presence: false, skippable: false });
      client.position = from;
      await client.subscribe();
      return client;
    };
    return {
      hub,
      samples,
      agents,
      post: (room, text) =>
        postMessage({ sql, hub, stream: conversations, clock }, { author: { id, name }, role: 'member' }, room, { text, key: newId() }),
      sample: (host, sample) => {
        const { kind, at, boot, seq } = sample;
        const frame = JSON.stringify(sample);
        agents.add(host);
        samples.add(host, sample, frame);
        hub.publish(hostRoom(host), { data: frame, offset: seq, epoch: boot });
        return insertSamples(sql, [{ host, kind, at, boot, seq, frame }]);
      },
      reader: (room, from) => enter(conversationRoom(room), conversations, from),
      watcher: (host, from) => enter(hostRoom(host), samples, from),
    };
  };
  return { all: await Promise.all(Array.from({ length: options.count }, open)), dropped, caughtUp, failures };
}

const add = (counts: Record<string, number>, what: string, more: number): void => void (counts[what] = (counts[what] ?? 0) + more);

/** The offsets somebody saw, in the order of seeing. */
export const offsetsSeen = ({ seen }: FakeClient): number[] => seen.flatMap((one) => ('offset' in one ? [one.offset] : []));

/** How often somebody had to begin anew. */
export const freshStarts = ({ seen }: FakeClient): number => seen.filter((one) => 'fresh' in one).length;
