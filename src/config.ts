/** The hub's configuration: read from the environment once, validated as a whole, frozen. */

import { resolve } from 'node:path';

export interface Config {
  host: string;
  port: number;
  opsPort: number;
  /** Where browsers and agents reach the hub; no trailing slash. */
  publicUrl: string;
  dataDir: string;
  /** Unset: the embedded PostgreSQL under `dataDir`. */
  databaseUrl: string | undefined;
  migrate: boolean;
  /** At least 32 random bytes; unset: kept in `dataDir` beside the embedded database. */
  secretKey: Uint8Array | undefined;
  admin: { email: string; password: string } | undefined;
  registration: 'invite' | 'open' | 'closed';
  /** Origins whose pages may open a WebSocket, exactly as browsers send them. */
  allowedOrigins: readonly string[];
  trustedProxies: readonly string[];
  retention: {
    rawMs: number;
  };
  shutdownGraceMs: number;
  logLevel: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';
  limits: {
    subscriptions: number;
    connectionsPerUser: number;
    connectionsPerAddress: number;
    /** Per second. */
    handshakes: number;
  };
}
