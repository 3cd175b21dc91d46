/** What the protocol layer asks its owner: who someone is, which rooms they may use, what a publish or rpc does. */

import type { Stream } from '../hub/stream.ts';
import type { Client } from '../hub/client.ts';
import type { ConnectRequest, PublishRequest, RefreshRequest, RpcRequest, SubRefreshRequest, SubscribeRequest } from '../protocol/commands.ts';

/** Who stands behind a connection, once it connected. */
export interface Identity {
  /** `user` of ClientInfo; empty for anonymous. */
  user: string;
  /** Label of the metrics, and the unit of limits. */
  kind: 'agent' | 'user';
  /** `conn_info` of ClientInfo. */
  info?: unknown;
  /** Hub time in ms when the credentials end; the client is asked to refresh before. */
  expiresAt?: number;
  /** The session or key behind the credentials; what a revocation names. */
  session?: string;
  /** Inbound frame cap once connected. */
  maxFrameBytes: number;
  /** Whatever the owner wants to find again on the client (boot and connection of an agent). */
  extra?: unknown;
}

export interface Admission {
  identity: Identity;
  /** `data` of the connect result. */
  data?: unknown;
}

/** The room as this client may use it. */
export interface Grant {
  /** Absent: a room without positions. */
  stream?: Stream;
  joinLeave: boolean;
  presence: boolean;
  /** A slow reader may miss publications here and is told to recover; elsewhere nothing is skipped. */
  skippable: boolean;
  /** `data` of the subscribe result, read after the position was taken. */
  data?: () => unknown;
  /** Hub time in ms. */
  expiresAt?: number;
}

/** A reply that waits for something slow; later commands do not wait for it. */
export interface Deferred<T> {
  later: Promise<T>;
}

export interface Peer {
  /** The client's address, proxies already resolved. */
  address: string;
  origin: string | undefined;
}

/** Every method refuses by throwing `Refusal` (an error reply) or `Closing` (a close frame); anything else is error 100 and logged. */
export interface Policy {
  connect(request: ConnectRequest, peer: Peer): Promise<Admission>;
  /** After the connect reply was written. */
  connected(client: Client): void;
  /** After the last room was left. */
  disconnected(client: Client): void;
  refresh(client: Client, request: RefreshRequest): Promise<{ expiresAt?: number }>;
  subscribe(client: Client, request: SubscribeRequest): Promise<Grant>;
  subRefresh(client: Client, request: SubRefreshRequest): Promise<{ expiresAt?: number }>;
  publish(client: Client, request: PublishRequest): Promise<void> | Deferred<void>;
  /** The grant for `presence`, `presence_stats` and `history` without being subscribed. */
  read(client: Client, channel: string): Promise<Grant>;
  rpc(client: Client, request: RpcRequest): Promise<unknown> | Deferred<unknown>;
}
