/** The story of what another replica published: checked like everything from outside, remembered, then shown here. */

import type { Hub } from '../hub/hub.ts';
import { tryParse } from '../lib/json.ts';
import { checkAgentPublication } from '../protocol/checks.ts';
import { parseRoom } from '../protocol/rooms.ts';
import type { RoomSort } from '../protocol/rooms.ts';
import type { Tracing } from '../ops/tracing.ts';
import { alwaysFollowed } from '../relay/relay.ts';
import type { RelayRecord } from '../relay/relay.ts';
import type { ConversationStream } from '../streams/conversation.ts';
import type { SampleStream } from '../streams/samples.ts';
import { isDeletion } from './conversation.ts';

export interface RelayedParts {
  hub: Pick<Hub, 'deliver'>;
  samples: Pick<SampleStream, 'hear'>;
  conversations: Pick<ConversationStream, 'add' | 'epoch'>;
  /** What replicas tell each other, by the name of its room; those who hear it check it. */
  between?: Readonly<Record<string, (record: RelayRecord) => void>>;
  /** `relay_record`: it was not what a replica of this hub sends. `relay_straggler`: of an agent's start before the one that is known. */
  dropped(what: Unwanted): void;
  /** Absent: no traces. */
  tracing?: Tracing;
}

type Unwanted = 'relay_record' | 'relay_straggler';

/** What the relay hands every record to. Never throws, and knows no relay: what came from one replica cannot go out again. */
export function receiveRelayed(parts: RelayedParts): (room: string, record: RelayRecord) => void {
  return (name, record) => {
    // What the publishing replica follows goes on here.
    const span = record.trace === undefined ? undefined : parts.tracing?.start('deliver', record.trace, { room: name });
    take(parts, name, record);
    span?.end();
  };
}

function take(parts: RelayedParts, name: string, record: RelayRecord): void {
  if (name.startsWith(alwaysFollowed)) return parts.between?.[name] ? parts.between[name](record) : parts.dropped('relay_record');
  // Who came or went is nothing to remember; whoever keeps presence checks it.
  if (record.presence) return parts.hub.deliver(name, record);
  const room = parseRoom(name);
  const data = parseObject(record.data);
  const isOurs = data !== undefined && (record.info === undefined || parseObject(record.info) !== undefined);
  const fault = room && isOurs ? remember[room.sort](parts, { name, id: room.id, record, data }) : 'relay_record';
  if (fault) parts.dropped(fault);
  else parts.hub.deliver(name, record);
}

interface Arrival {
  name: string;
  /** Of the host, conversation, group or user. */
  id: string;
  record: RelayRecord;
  data: object;
}

/** Tells the room's stream of the record; says why it is not to be delivered. */
type Remember = (parts: RelayedParts, arrival: Arrival) => Unwanted | undefined;

const remember: Record<RoomSort, Remember> = {
  host: ({ samples }, { id, record, data }) => {
    const { ok: publication } = checkAgentPublication(data);
    if (!publication || publication.seq !== record.offset || publication.boot !== record.epoch) return 'relay_record';
    return samples.hear(id, publication, record.data) ? undefined : 'relay_straggler';
  },
  room: ({ conversations }, { name, data: item, record: { offset, epoch, data, info } }) => {
    // Another epoch is another life of the database: its offsets mean nothing here.
    if (!isOffset(offset) || epoch !== conversations.epoch) return 'relay_record';
    conversations.add(name, { offset, data, info }, isDeletion(item));
    return undefined;
  },
  fleet: hasNoPosition,
  user: hasNoPosition,
};

function hasNoPosition(_parts: RelayedParts, { record }: Arrival): Unwanted | undefined {
  return record.offset === undefined && record.epoch === undefined ? undefined : 'relay_record';
}

const isOffset = (offset: unknown): offset is number => Number.isSafeInteger(offset) && (offset as number) >= 1;

function parseObject(text: string): object | undefined {
  const value = tryParse(text);
  return typeof value === 'object' && value !== null ? value : undefined;
}
