/** The bodies and answers of the REST interface about the hub's replicas. */

import Type from 'typebox';
import type { Static } from 'typebox';
import { Id, Time } from './rest.ts';

const Count = Type.Integer({ minimum: 0 });

export const Replica = Type.Object({
  id: Id,
  /** Its pod in Kubernetes, else its machine. */
  name: Type.String(),
  /** The machine that a pod runs on; empty where unknown. */
  node: Type.String(),
  version: Type.String(),
  startedAt: Time,
  /** When it said this. */
  at: Time,
  connections: Type.Object({ agent: Count, user: Count }),
  rooms: Count,
  messagesPerSecond: Type.Number(),
  loopLagMs: Type.Number(),
  /** Takes new connections. */
  ready: Type.Boolean(),
  /** Closes its connections in order to stop. */
  draining: Type.Boolean(),
  /** The one that answers. */
  self: Type.Boolean(),
});
export type Replica = Static<typeof Replica>;

export const ReplicaList = Type.Object({
  items: Type.Array(Replica),
  next: Type.Null(),
  /** Pods of this hub that have not said anything yet: they are being started. */
  pending: Type.Array(Type.Object({ name: Type.String(), node: Type.String() })),
  /** Whether `PUT /replicas/scale` works here. */
  scalable: Type.Boolean(),
});
export type ReplicaList = Static<typeof ReplicaList>;

export const Scale = Type.Object({ replicas: Type.Integer({ minimum: 1, maximum: 1_000 }) }, { additionalProperties: false });
export type Scale = Static<typeof Scale>;
