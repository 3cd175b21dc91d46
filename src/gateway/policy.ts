/** What the protocol layer asks its owner: who someone is, which rooms they may use, what a publish or rpc does. */

import type { Client, Identity } from '../hub/client.ts';
import type { Grant } from '../hub/room.ts';
import type {
  ConnectRequest,
  PublishRequest,
  RefreshRequest,
  RpcRequest,
  SubRefreshRequest,
  SubscribeRequest,
} from '../protocol/commands.ts';

export type { Identity } from '../hub/client.ts';
export type { Grant } from '../hub/room.ts';

export interface Admission {
  identity: Identity;
  /** `data` of the connect result. */
  data?: unknown;
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
