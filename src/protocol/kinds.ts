/** What publications carry: `data.kind` tells which of these shapes it is. Times are integer milliseconds in hub time. */

/** All metrics of a host at one moment. `at`, `boot` and `seq` are given once, at sampling, and never change. */
export interface Sample {
  kind: 'sample';
  at: number;
  /** 1, 2, 3 … within a boot, over everything the agent publishes. */
  seq: number;
  /** UUIDv7 of this start of the agent process. */
  boot: string;
  /** Base units: bytes, bytes/second, seconds, ratios 0…1, counts. At most 2,000 names. */
  metrics: Record<string, number>;
}

export interface Process {
  pid: number;
  name: string;
  user: string;
  /** Ratio of one core: 2 is two cores busy. */
  cpu: number;
  /** Resident bytes. */
  memory: number;
  /** Bytes per second, read and written. */
  io: number;
}

export interface Processes {
  kind: 'processes';
  at: number;
  seq: number;
  boot: string;
  top: Process[];
}

/** What an agent publishes into its room. */
export type AgentPublication = Sample | Processes;

/** Why publications came late: the agent was not running, had no connection, or the hub did not commit. */
export const lateWhys = ['restart', 'connection', 'hub'] as const;
export type LateWhy = (typeof lateWhys)[number];

/**
 * Why an agent gave publications up: its spool had no space or they grew too old, its disk was full or failed, they were damaged on
 * disk, or memory was all there was. `expired` is the hub's own: older than it keeps samples.
 */
export const lossWhys = ['space', 'age', 'disk_full', 'disk_failed', 'damaged', 'memory', 'expired'] as const;
export type LossWhy = (typeof lossWhys)[number];

/** What an agent tells it has lost. */
export interface Loss {
  from: number;
  to: number;
  samples: number;
  why: LossWhy;
}

export interface Author {
  id: string;
  name: string;
}

export interface Message {
  kind: 'message';
  id: string;
  room: string;
  author: Author | null;
  /** Markdown; empty once deleted. */
  text: string;
  /** The time it speaks of, or its beginning. */
  at: number;
  until?: number;
  thread?: string;
  key?: string;
  createdAt: number;
  editedAt?: number;
  deletedAt?: number;
}

/** What a person sends to post a message. */
export interface MessageDraft {
  text: string;
  at?: number;
  until?: number;
  thread?: string;
  /** At most 64 characters, unique per author and room. */
  key?: string;
}

export type EventWhat = 'agent_joined' | 'agent_left' | 'host_booted' | 'gap_filled' | 'identity_shared' | 'host_added' | 'host_renamed';

export interface Event {
  kind: 'event';
  id: string;
  room: string;
  what: EventWhat;
  at: number;
  until?: number;
  createdAt: number;
  /** What belongs to this sort of event, such as `samples` of a filled gap or `name` of a renamed host. */
  details: Record<string, string | number>;
}

export type AlertState = 'pending' | 'firing' | 'acknowledged' | 'resolved';

/** What stands in a conversation's timeline. */
export type TimelineItem = Message | Event;

/** The newest figures of one host, as the fleet room and the host list carry them. */
export interface HostSummary {
  status: 'never' | 'online' | 'offline';
  /** Of the newest sample; null before the first. */
  at: number | null;
  cpu: number | null;
  /** Ratio used. */
  memory: number | null;
  /** Ratio used of the fullest file system. */
  disk: number | null;
  /** Bytes per second over all interfaces. */
  receive: number | null;
  transmit: number | null;
  /** Mean of the last minute. */
  load: number | null;
  /** °C of the hottest sensor. */
  temperature: number | null;
  /** Seconds since the boot. */
  uptime: number | null;
  /** Count of firing alerts. */
  alerts: number;
}

export interface Fleet {
  kind: 'fleet';
  at: number;
  /** By host id: only those that changed, each at least every 30 s. */
  hosts: Record<string, HostSummary>;
}

/** Told to people outside of rooms: what the hub stands on and has to do without, by name; empty when all is well again. */
export interface Degraded {
  kind: 'degraded';
  away: readonly string[];
}

/** What seldom changes on a host; sent by rpc `inventory`. */
export interface Inventory {
  os: string;
  kernel: string;
  arch: string;
  hostname: string;
  cpuModel: string;
  cores: number;
  /** Bytes. */
  memory: number;
  virtual?: string;
  agentVersion: string;
  disks: { device: string; model: string; size: number }[];
  /** Milliseconds since 1970 UTC, agent's clock corrected to hub time. */
  bootedAt: number;
}

/** The `data` of a subscription to `host:<id>`. */
export interface HostState {
  id: string;
  name: string;
  status: HostSummary['status'];
  onlineSince: number | null;
  inventory: Inventory | null;
  sample: Sample | null;
  processes: Processes | null;
}
