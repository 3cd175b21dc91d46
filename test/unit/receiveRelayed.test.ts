import { expect, test } from 'vitest';
import { receiveRelayed } from '../../src/actions/receiveRelayed.ts';
import { newId } from '../../src/lib/id.ts';
import type { RelayRecord } from '../../src/relay/relay.ts';

const [id, boot] = [newId(), newId()];
const sample = JSON.stringify({ kind: 'sample', at: 1, seq: 3, boot, metrics: { n: 1 }, extra: [1] });
const straggler = sample.replace('"at":1', '"at":0');

/** What became of one record. */
function receive(room: string, record: RelayRecord): string {
  const did: string[] = [];
  receiveRelayed({
    hub: { deliver: (name) => void did.push(`deliver ${name.split(':')[0]}`) },
    samples: {
      hear: (host, { seq, at }, text) => {
        did.push(`sample ${host === id} ${seq} ${text === sample}`);
        return at >= 1;
      },
    },
    conversations: { epoch: 'life', add: (name, { offset }) => void did.push(`message ${name === `room:${id}`} ${offset}`) },
    between: { '~fleet': ({ data }) => void did.push(`between ${data}`) },
    dropped: (what) => void did.push(what === 'relay_record' ? 'dropped' : what),
  })(room, record);
  return did.join(', ');
}

const [host, room, fleet] = [`host:${id}`, `room:${id}`, `fleet:${id}`];

test.each<[string, string, RelayRecord, string]>([
  ['a sample', host, { data: sample, offset: 3, epoch: boot }, 'sample true 3 true, deliver host'],
  ['a straggler', host, { data: straggler, offset: 3, epoch: boot }, 'sample true 3 false, relay_straggler'],
  ['a message', room, { data: '{}', offset: 7, epoch: 'life', info: '{"user":"u"}' }, 'message true 7, deliver room'],
  ['a fleet summary', fleet, { data: '{}' }, 'deliver fleet'],
  ['a notification', `user:${id}`, { data: '{}' }, 'deliver user'],
  ['somebody coming', host, { data: '{"user":"u"}', presence: 'join' }, 'deliver host'],
  ['a word between replicas', '~fleet', { data: '1' }, 'between 1'],
  ['a word that nobody understands', '~other', { data: '1' }, 'dropped'],
  ['a sample with the place of another', host, { data: sample, offset: 4, epoch: boot }, 'dropped'],
  ['a sample of another boot', host, { data: sample, offset: 3, epoch: newId() }, 'dropped'],
  ['a sample without a place', host, { data: sample }, 'dropped'],
  ['half a sample', host, { data: sample.slice(0, -9), offset: 3, epoch: boot }, 'dropped'],
  ['no object', host, { data: '7', offset: 3, epoch: boot }, 'dropped'],
  ['a message in a host room', host, { data: '{"kind":"message"}', offset: 1, epoch: 'life' }, 'dropped'],
  ['a message of another database', room, { data: '{}', offset: 7, epoch: 'other' }, 'dropped'],
  ['a message without an offset', room, { data: '{}', epoch: 'life' }, 'dropped'],
  ['a message at offset 0', room, { data: '{}', offset: 0, epoch: 'life' }, 'dropped'],
  ['a message at half an offset', room, { data: '{}', offset: 0.5, epoch: 'life' }, 'dropped'],
  ['an author that is no JSON', room, { data: '{}', offset: 1, epoch: 'life', info: '{' }, 'dropped'],
  ['a fleet summary with a place', fleet, { data: '{}', offset: 1, epoch: 'e' }, 'dropped'],
  ['text that would leave its frame', fleet, { data: '{}}\n{"push":{}' }, 'dropped'],
  ['a room that cannot be', 'host:1', { data: sample, offset: 3, epoch: boot }, 'dropped'],
  ['no room', '', { data: '{}' }, 'dropped'],
])('%s', (_what, name, record, done) => expect(receive(name, record)).toBe(done));
