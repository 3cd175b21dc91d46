/** Decides which connections a replica keeps: its fair share, when it gives some away, when it refuses new ones. */

import { settleMs } from './pace.ts';

/** What one replica knows of the fleet at a moment; ages and durations in ms. */
export interface FleetView {
  /** Connections here, counted now. */
  own: number;
  /** The other replicas that get new connections, as they last said. */
  others: readonly { connections: number; ageMs: number }[];
  /** How many get new connections by the API server, this one included; undefined where nobody knows better than their own words. */
  expected: number | undefined;
  /** Since these replicas are the ones that get new connections. */
  unchangedMs: number;
  /** Since this one does. */
  readyMs: number;
  /** Versions among them: a rollout is under way when there are two. */
  versions: number;
  /** Whether some replica is closing its connections in order to stop. */
  isAnyDraining: boolean;
}

export type ShareVerdict =
  | { act: 'shed'; surplus: number; fair: number }
  | { act: 'keep'; why: 'alone' | 'draining' | 'stale' | 'rollout' | 'changing' | 'young' | 'balanced' };

/** A replica that much over its share starts to give away, down to `stopAt` times its share. */
const startAt = 1.15;
const startSlack = 20;
const stopAt = 1.05;
/** A row older than this says nothing: three were missed. */
const freshMs = 6_000;
/** Replicas that come and go are waited out. */
const quietMs = 20_000;
const grownMs = 30_000;
/** Above the share and not worth a refusal. */
const fewTooMany = 10;
/** Nobody may be locked out by replicas that all believe another has room: SDKs do not say which try it is. */
const highestRefusal = 0.8;

export const fairShare = (total: number, replicas: number): number => Math.ceil(total / Math.max(1, replicas));

/** The share of a replica that sees `view`. */
export function fairOf({ own, others }: Pick<FleetView, 'own' | 'others'>): number {
  return fairShare(
    others.reduce((total, other) => total + other.connections, own),
    others.length + 1,
  );
}

const startsAbove = (fair: number): number => fair * startAt + startSlack;
const stopsAt = (fair: number): number => Math.ceil(fair * stopAt);

/** Whether this replica gives connections away. @param isShedding what was decided last: between start and stop it goes on */
export function decideShare(view: FleetView, isShedding: boolean): ShareVerdict {
  const { own, others, expected } = view;
  const keep = (why: Extract<ShareVerdict, { act: 'keep' }>['why']): ShareVerdict => ({ act: 'keep', why });
  if (others.length === 0) return keep('alone');
  if (view.isAnyDraining) return keep('draining');
  if (!isFresh(view) || (expected !== undefined && expected !== others.length + 1)) return keep('stale');
  if (view.versions > 1) return keep('rollout');
  if (view.unchangedMs < quietMs) return keep('changing');
  if (view.readyMs < grownMs) return keep('young');
  const fair = fairOf(view);
  const surplus = own - stopsAt(fair);
  return surplus > 0 && (isShedding || own > startsAbove(fair)) ? { act: 'shed', surplus, fair } : keep('balanced');
}

/**
 * How likely this replica refuses a new connection, for a proxy to offer it to the next one: 0 up to where shedding would stop, 0.8 from
 * where it would start, and only while another replica has less than its share and is known to balancers. A few connections too many are
 * never worth a refusal.
 */
export function refusalChance(view: Pick<FleetView, 'own' | 'others' | 'isAnyDraining' | 'unchangedMs'>): number {
  const { own, others } = view;
  if (!isFresh(view) || view.isAnyDraining || view.unchangedMs < settleMs) return 0;
  const fair = fairOf(view);
  if (!others.some(({ connections }) => connections < fair)) return 0;
  const from = Math.max(stopsAt(fair), fair + fewTooMany);
  return highestRefusal * Math.min(1, Math.max(0, (own - from) / (startsAbove(fair) - from)));
}

/** How many of the others have less than their share; they are the ones that can take. */
export function countReceivers({ own, others }: Pick<FleetView, 'own' | 'others'>): number {
  const fair = fairOf({ own, others });
  return others.filter(({ connections }) => connections < fair).length;
}

const isFresh = ({ others }: Pick<FleetView, 'others'>): boolean => others.every(({ ageMs }) => ageMs < freshMs);
