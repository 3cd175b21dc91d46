/** Notices between replicas of two versions: what only the newer one knows is counted, and nothing comes of it. */

import { expect, onTestFinished, test } from 'vitest';
import { newId } from '../../src/lib/id.ts';
import { MemoryBus, MemoryRelay } from '../../src/relay/memory.ts';
import { Notices, type Notice, type NoticeKind } from '../../src/relay/notices.ts';

const kinds: NoticeKind[] = ['sessionsEnded', 'rolesChanged', 'hostChanged', 'hostKey', 'hostDeleted', 'agentConnected'];

/** One that hears, and another's way to tell anything; what was told has arrived when `tell` resolves. */
async function pair(): Promise<{ heard: Notice[]; refused: string[]; tell(...texts: string[]): Promise<void> }> {
  const bus = new MemoryBus();
  const [heard, refused]: [Notice[], string[]] = [[], []];
  const notices = new Notices({ relay: new MemoryRelay(bus), refused: (what) => void refused.push(what) });
  for (const kind of kinds) notices.on(kind, (notice) => void heard.push(notice));
  await notices.start(() => undefined);
  const other = new MemoryRelay(bus);
  await other.start(() => undefined);
  onTestFinished(async () => void (await Promise.all([notices.close(), other.close()])));
  return {
    heard,
    refused,
    async tell(...texts) {
      for (const data of texts) other.publish('~notices', { data });
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

test('a kind that is not known is counted by itself, and no handler runs', async () => {
  const { heard, refused, tell } = await pair();
  const newer = { kind: 'groupClosed', group: newId(), sessions: [newId()], host: newId(), person: newId() };
  await tell(JSON.stringify(newer), '{"kind":"constructor"}', '{"kind":"__proto__"}', '{"kind":"toString"}');
  expect([heard, refused]).toEqual([[], ['notice', 'notice', 'notice', 'notice']]);
});

test('a known kind with more fields than are known is heard', async () => {
  const { heard, refused, tell } = await pair();
  const notice = { kind: 'hostDeleted', host: newId(), by: newId(), since: 3 };
  await tell(JSON.stringify(notice));
  expect([heard, refused]).toEqual([[notice], []]);
});

test('a known kind without what belongs to it is no notice, and neither is anything else', async () => {
  const { heard, refused, tell } = await pair();
  const wrong = ['{', '[]', '3', 'null', '{}', '{"kind":7}', '{"kind":"hostDeleted"}', '{"kind":"sessionsEnded","sessions":["all"]}'];
  await tell(...wrong);
  expect([heard, refused]).toEqual([[], wrong.map(() => 'relay_record')]);
});
