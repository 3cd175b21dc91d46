/** People who post into one conversation and retry until each message is committed, and people who read it. */

import { setTimeout as wait } from 'node:timers/promises';
import { Centrifuge } from 'centrifuge';
import type { Message } from '../../../src/protocol/kinds.ts';
import { conversationRoom } from '../../../src/protocol/rooms.ts';
import { BrowserSocket } from '../browserSocket.ts';
import type { Posted, Read } from './talkChecker.ts';

const connect = (hubUrl: string, token: () => Promise<string>): Centrifuge =>
  new Centrifuge(`${hubUrl.replace('http', 'ws')}/connection/websocket`, {
    websocket: BrowserSocket,
    getToken: token,
    minReconnectDelay: 100,
    maxReconnectDelay: 2_000,
  });

export interface Talker {
  posted: Posted[];
  /** Attempts beyond one for each message. */
  readonly retries: number;
  /** Resolves when all are acknowledged. */
  done: Promise<void>;
  close(): void;
}

const atOnce = 4;

/** Posts `count` messages with keys that begin with `name`, a few at once, each third of them twice. */
export function startTalker(
  hubUrl: string,
  token: () => Promise<string>,
  { room, name, count }: { room: string; name: string; count: number },
): Talker {
  const client = connect(hubUrl, token);
  const posted: Posted[] = Array.from({ length: count }, (_, i) => ({ key: `${name} ${i}`, acknowledged: false }));
  let [next, retries, isClosed] = [0, 0, false];
  const post = async (key: string): Promise<void> => {
    while (!isClosed) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- once more only where it failed
        await client.publish(conversationRoom(room), { kind: 'message', text: `message ${key}`, key });
        return;
      } catch {
        retries += 1;
        // oxlint-disable-next-line no-await-in-loop -- as a person's program would, after a moment
        await wait(50 + Math.random() * 200);
      }
    }
  };
  const work = async (): Promise<void> => {
    for (let i = next++; i < count && !isClosed; i = next++) {
      const one = posted[i]!;
      // As a program that did not see the answer.
      const again = i % 3 === 0 ? post(one.key) : undefined;
      // oxlint-disable-next-line no-await-in-loop -- a few at once
      await Promise.all([post(one.key), again]);
      one.acknowledged = !isClosed;
    }
  };
  client.connect();
  return {
    posted,
    get retries() {
      return retries;
    },
    done: Promise.all(Array.from({ length: atOnce }, work)).then(() => undefined),
    close() {
      isClosed = true;
      client.disconnect();
    },
  };
}

export interface Reader {
  read: Read[];
  close(): void;
}

/** Resolves once the room is joined. */
export async function startReader(hubUrl: string, token: () => Promise<string>, room: string): Promise<Reader> {
  const client = connect(hubUrl, token);
  const read: Read[] = [];
  const subscription = client.newSubscription(conversationRoom(room), { minResubscribeDelay: 50, maxResubscribeDelay: 1_000 });
  subscription.on('publication', ({ offset, data }: { offset?: number; data: Message }) =>
    read.push({ offset: offset!, key: data.key ?? '' }),
  );
  subscription.on('subscribed', ({ wasRecovering, recovered }) => {
    if (wasRecovering && !recovered) read.push({ mark: true });
  });
  subscription.subscribe();
  client.connect();
  await subscription.ready(30_000);
  return { read, close: () => client.disconnect() };
}
