/** The Redis relay holds the contract of relays, and carries notices, on a single server, with Sentinel, on a Cluster. */

import { expect, onTestFinished, test } from 'vitest';
import { newId } from '../../src/lib/id.ts';
import { Notices, type Notice } from '../../src/relay/notices.ts';
import { onEachRedis } from '../support/onEachRedis.ts';
import { RedisRelays } from '../support/redisRelays.ts';
import { until } from '../support/until.ts';
import { relayContract } from './relay.ts';

onEachRedis('relay', (started) => {
  relayContract('through Redis', async () => {
    const relays = new RedisRelays((await started()).url);
    return { open: () => relays.open().relay, close: () => relays.close() };
  });

  test('a notice reaches all other replicas, and nobody of another hub', async () => {
    const { url } = await started();
    const [ours, theirs] = [new RedisRelays(url), new RedisRelays(url)];
    onTestFinished(async () => {
      await ours.close();
      await theirs.close();
    });
    const [a, b, c] = [ours, ours, theirs].map((relays) => new Notices({ relay: relays.open().relay })) as [Notices, Notices, Notices];
    const heard: string[] = [];
    for (const [index, notices] of [a, b, c].entries()) {
      notices.on('hostDeleted', ({ host }) => heard.push(`${index} ${host}`));
      await notices.start(() => undefined);
    }
    const notice: Notice = { kind: 'hostDeleted', host: newId() };
    await until(() => {
      a.tell(notice);
      return heard.length > 0;
    }, 'it is heard');
    expect(new Set(heard)).toEqual(new Set([`1 ${notice.host}`]));
  });
});
