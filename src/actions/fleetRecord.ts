/** What replicas tell each other of the hosts whose agents they hold. */

import Type from 'typebox';
import type { Static } from 'typebox';
import { Compile } from 'typebox/compile';
import { tryParse } from '../lib/json.ts';
import type { HostSummary } from '../protocol/kinds.ts';

/** The room between replicas that carries it. */
export const fleetBetween = '~fleet';

const figure = Type.Union([Type.Number(), Type.Null()]);
const summary = Type.Object({
  status: Type.Union([Type.Literal('never'), Type.Literal('online'), Type.Literal('offline')]),
  at: figure,
  cpu: figure,
  memory: figure,
  disk: figure,
  receive: figure,
  transmit: figure,
  load: figure,
  temperature: figure,
  uptime: figure,
  alerts: Type.Integer({ minimum: 0 }),
});
const id = '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$';
const host = Type.Object({ group: Type.String({ pattern: id }), summary });
const record = Type.Object({
  /** Whoever tells is new, or has missed something: the others tell it of all their hosts. */
  asks: Type.Optional(Type.Literal(true)),
  /** By host id. */
  hosts: Type.Optional(Type.Record(Type.String({ pattern: id }), host, { additionalProperties: false })),
});
const check = Compile(record);

export type FleetRecord = Static<typeof record>;

/** Of a host that nothing was heard of yet. */
export const unknownSummary: HostSummary = {
  status: 'never',
  at: null,
  cpu: null,
  memory: null,
  disk: null,
  receive: null,
  transmit: null,
  load: null,
  temperature: null,
  uptime: null,
  alerts: 0,
};

/** Undefined for what no replica of ours sent. */
export function parseFleetRecord(text: string): FleetRecord | undefined {
  const value = tryParse(text);
  return check.Check(value) ? value : undefined;
}
