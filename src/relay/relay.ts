/** What carries publications to all replicas: a pipe that gives positions to nobody and keeps nothing. */

/** One publication on its way between replicas. */
export interface RelayRecord {
  /** The publication's `data`, as JSON text in one line. */
  data: string;
  /** Absent in rooms without positions. */
  offset?: number;
  epoch?: string;
  /** JSON text of the publisher's ClientInfo, where the room shows it. */
  info?: string;
  /** Somebody came or went: `data` is then the ClientInfo. */
  presence?: 'join' | 'leave';
  /** W3C traceparent of what led to it. */
  trace?: string;
}

/** Rooms that every replica follows without being asked begin with this. */
export const alwaysFollowed = '~';
/** All of those there are. */
export const betweenReplicas = ['~notices', '~fleet'] as const;

/** The rooms with members on one replica, as they are whenever it is asked. */
export interface RoomsHere extends Iterable<string> {
  has(room: string): boolean;
}

/**
 * The contract, held by one suite for all implementations:
 * - a record is handed to `deliver` on every other replica that follows its room, in the order of publishing per room;
 * - the publishing replica never gets its own record back;
 * - `publish` never throws and never waits; what is lost is found by positions, not here.
 */
export interface Relay {
  start(deliver: (room: string, record: RelayRecord) => void): Promise<void>;
  publish(room: string, record: RelayRecord): void;
  /** Called after the rooms with members on this replica changed; `changed` names those that may have, all where it is absent. */
  follow(rooms: RoomsHere, changed?: Iterable<string>): void;
  close(): Promise<void>;
}
