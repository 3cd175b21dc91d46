/** The streams of samples and conversations hold the contract, from memory as from PostgreSQL. */

import { onTestFinished } from 'vitest';
import { insertHost, insertHostRoom } from '../../src/data/hosts.ts';
import { ensureGroup } from '../../src/data/groups.ts';
import { insertPublication, nextOffset } from '../../src/data/publications.ts';
import { insertSamples } from '../../src/data/samples.ts';
import { newId } from '../../src/lib/id.ts';
import { ConversationStream } from '../../src/streams/conversation.ts';
import { SampleStream } from '../../src/streams/samples.ts';
import { freshDatabase } from '../support/database.ts';
import { streamContract } from './stream.ts';

const nothing = (): Promise<void> => Promise.resolve();

for (const source of ['memory', 'PostgreSQL'] as const) {
  streamContract(`samples, from ${source}`, async () => {
    const { sql } = await freshDatabase(onTestFinished);
    const stream = new SampleStream({ sql });
    const [host, boot] = [newId(), newId()];
    let seq = 0;
    const fill = async (count: number): Promise<void> => {
      for (let n = 0; n < count; n++) {
        const at = Date.now() + ++seq;
        if (source === 'memory') stream.add(host, { kind: 'sample', at, seq, boot, metrics: {} }, String(seq));
        else await insertSamples(sql, [{ host, kind: 'sample', at, boot, seq, frame: String(seq) }]);
      }
      if (source === 'PostgreSQL') stream.forget(host);
    };
    return { stream, room: `host:${host}`, fill, close: nothing };
  });

  streamContract(`conversations, from ${source}`, async () => {
    const { sql } = await freshDatabase(onTestFinished);
    const stream = new ConversationStream({ sql, epoch: 'life', freshMs: source === 'memory' ? 60_000 : 0 });
    const host = { id: newId(), name: 'host', group: await ensureGroup(sql, newId(), 'group') };
    await insertHost(sql, host);
    await insertHostRoom(sql, host);
    const room = `room:${host.id}`;
    const fill = async (count: number): Promise<void> => {
      for (let n = 0; n < count; n++) {
        const offset = (await nextOffset(sql, host.id)) ?? 0;
        await insertPublication(sql, host.id, { offset, data: String(offset), info: null });
        if (source === 'memory') stream.add(room, { offset, data: String(offset) });
      }
    };
    return { stream, room, fill, close: nothing };
  });
}
