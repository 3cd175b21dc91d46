/** The commands of the Centrifuge bidirectional client protocol and their results, as a server sees them. */

/** A place in a room's history: everything up to and including `offset` is known, within one `epoch`. */
export interface Position {
  offset: number;
  epoch: string;
}

export interface ClientInfo {
  user: string;
  /** The id of the connection. */
  client: string;
  conn_info?: unknown;
  chan_info?: unknown;
}

/** One thing put into a room, as it stands on the wire. */
export interface Publication {
  data: unknown;
  offset?: number;
  info?: ClientInfo;
  tags?: Record<string, string>;
  /** Milliseconds since 1970 UTC. */
  time?: number;
}

export interface ConnectRequest {
  token?: string;
  data?: unknown;
  name?: string;
  version?: string;
  headers?: Record<string, string>;
}

export interface ConnectResult {
  client: string;
  version: string;
  expires?: true;
  /** Seconds until the client has to refresh. */
  ttl?: number;
  data?: unknown;
  /** Seconds between the server's pings. */
  ping?: number;
  pong?: true;
  /** Hub time, milliseconds since 1970 UTC. */
  time?: number;
}

export interface SubscribeRequest {
  channel: string;
  token?: string;
  data?: unknown;
  recover?: boolean;
  offset?: number;
  epoch?: string;
  /** Bit 2: refuse with error 112 rather than subscribe without recovery. */
  flag?: number;
  delta?: string;
  type?: number;
}

export interface SubscribeResult {
  recoverable?: true;
  positioned?: true;
  epoch?: string;
  offset?: number;
  was_recovering?: true;
  recovered?: true;
  publications?: Publication[];
  expires?: true;
  ttl?: number;
  data?: unknown;
}

export interface PublishRequest {
  channel: string;
  data: unknown;
}

export interface HistoryRequest {
  channel: string;
  /** Absent or 0: only the position; -1: all, up to the server's cap. */
  limit?: number;
  since?: { offset?: number; epoch?: string };
  reverse?: boolean;
}

export interface HistoryResult extends Position {
  publications?: Publication[];
}

export interface PresenceResult {
  presence: Record<string, ClientInfo>;
}

export interface PresenceStatsResult {
  num_clients: number;
  num_users: number;
}

export interface RpcRequest {
  method?: string;
  data?: unknown;
}

export interface RefreshRequest {
  token: string;
}

export interface RefreshResult {
  client?: string;
  version?: string;
  expires?: true;
  ttl?: number;
}

export interface SubRefreshRequest {
  channel: string;
  token: string;
}

export interface SubRefreshResult {
  expires?: true;
  ttl?: number;
}

/** Every command by its method name, with its result. */
export interface Methods {
  connect: { request: ConnectRequest; result: ConnectResult };
  subscribe: { request: SubscribeRequest; result: SubscribeResult };
  unsubscribe: { request: { channel: string }; result: Record<string, never> };
  publish: { request: PublishRequest; result: Record<string, never> };
  presence: { request: { channel: string }; result: PresenceResult };
  presence_stats: { request: { channel: string }; result: PresenceStatsResult };
  history: { request: HistoryRequest; result: HistoryResult };
  rpc: { request: RpcRequest; result: { data?: unknown } };
  send: { request: { data?: unknown }; result: never };
  refresh: { request: RefreshRequest; result: RefreshResult };
  sub_refresh: { request: SubRefreshRequest; result: SubRefreshResult };
}

export type Method = keyof Methods;
