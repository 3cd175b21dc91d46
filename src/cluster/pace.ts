/** Says how fast connections may be closed: when a replica gives some away, when it stops. */

/** What one replica takes in, in connections per second; LIMIT_HANDSHAKES has the same default. */
export const admissionPerSecond = 200;

/** Shedding: of its connections a replica gives away at most this part each second … */
const shedPart = 0.02;
/** … a few at least, so that small fleets settle too. */
const shedLeast = 10;
/** The whole fleet: half of what those take in that have room, the other half being for newcomers; and so much at least. */
const receiverPart = 0.5;
const fleetShedLeast = 200;

/** Connections per second that a replica with so many gives away, as far as the budget of the fleet lets it. */
export const shedPerSecond = (connections: number): number => Math.min(admissionPerSecond, Math.max(shedLeast, connections * shedPart));

/** Connections per second that all replicas together give away. @param receivers replicas that have less than their share */
export const fleetShedPerSecond = (receivers: number): number => Math.max(fleetShedLeast, receivers * admissionPerSecond * receiverPart);

/** The parts of a stop, in ms; together never more than the grace. */
export interface DrainBudget {
  /** Serving on while load balancers learn that this replica goes. */
  settleMs: number;
  /** The longest time over which connections are closed one after another. */
  windowMs: number;
  /** For what was taken in to be committed, and for close frames to be answered. */
  flushMs: number;
  /** The grace is too short for the parts as they should be: they were cut. */
  isShort: boolean;
}

/** Load balancers learn within this time that a replica came, or goes. */
export const settleMs = 10_000;
const flushMs = 15_000;
export const leastWindowMs = 5_000;

/** Shares out the time from the signal to stop to the end of the process. */
export function drainBudget(graceMs: number): DrainBudget {
  const needed = settleMs + leastWindowMs + flushMs;
  const scale = Math.min(1, graceMs / needed);
  const [settle, flush] = [Math.floor(settleMs * scale), Math.floor(flushMs * scale)];
  return { settleMs: settle, flushMs: flush, windowMs: Math.max(0, graceMs - settle - flush), isShort: scale < 1 };
}

/** All replicas that stop, and those that stay, as they are now. */
export interface DrainView {
  /** Connections still open on all replicas that are stopping, this one included. */
  draining: number;
  /** Replicas that go on and take new connections. */
  survivors: number;
}

/** How long it takes the survivors to take in what is still to come; at least 5 s. Infinite without any. */
export function drainWindowMs({ draining, survivors }: DrainView): number {
  return Math.max(leastWindowMs, inflowMs({ draining, survivors }));
}

/**
 * When the closing should be over, on the clock of `nowMs`: a replica that joins the stop later puts the end off, nothing brings it
 * forward, and `latestMs` is never passed.
 */
export function drainEndMs(view: DrainView, at: { nowMs: number; endMs: number; latestMs: number }): number {
  return Math.min(at.latestMs, Math.max(at.endMs, at.nowMs + inflowMs(view)));
}

/**
 * How many of `left` are to be closed in a tick of `tickMs`, so that the last goes at `endMs`.
 * @param chance 0 to 1, random: decides on the part of one, so that many replicas with few connections keep the pace together
 */
export function closeNow(at: { left: number; nowMs: number; endMs: number; tickMs: number }, chance: number): number {
  const restMs = at.endMs - at.nowMs;
  return restMs <= at.tickMs ? at.left : Math.min(at.left, Math.floor((at.left * at.tickMs) / restMs + chance));
}

const inflowMs = ({ draining, survivors }: DrainView): number =>
  draining === 0 ? 0 : (draining / (survivors * admissionPerSecond)) * 1_000;
