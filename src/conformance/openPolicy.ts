/** A policy that lets everyone do everything, for suites that test the protocol rather than an owner's rules. */

import { jwtVerify, errors as joseErrors, type JWTPayload } from 'jose';
import type { Grant, Policy } from '../gateway/policy.ts';
import type { Client } from '../hub/client.ts';
import type { Hub } from '../hub/hub.ts';
import { Closing, Refusal } from '../hub/refusal.ts';
import { closes, errors } from '../protocol/codes.ts';
import type { MemoryStreams } from '../streams/memory.ts';

export interface OpenPolicyOptions {
  hub: Hub;
  /** Which streams keep a channel's history. */
  streamsOf: (channel: string) => MemoryStreams;
  /** Of HS256 tokens. */
  secret: string;
  maxFrameBytes?: number;
}

const algorithms = ['HS256'];

export function openPolicy({ hub, streamsOf, secret, maxFrameBytes = 64 * 1024 }: OpenPolicyOptions): Policy {
  const key = new TextEncoder().encode(secret);

  /** The claims of a valid token. `invalid` is thrown for anything but an expired one. */
  async function claims(token: string, invalid: Error): Promise<JWTPayload> {
    try {
      const { payload } = await jwtVerify(token, key, { algorithms });
      return payload;
    } catch (error) {
      if (error instanceof joseErrors.JWTExpired) throw new Refusal(errors.tokenExpired);
      throw invalid;
    }
  }

  const expiresAt = ({ exp }: JWTPayload): number | undefined => (exp === undefined ? undefined : exp * 1000);

  async function subscriptionClaims(client: Client, channel: string, token: string): Promise<JWTPayload> {
    const payload = await claims(token, new Refusal(errors.permissionDenied));
    const fits = payload.channel === channel && (payload.sub ?? '') === client.identity.user;
    if (!fits) throw new Refusal(errors.permissionDenied);
    return payload;
  }

  const grantOf = (channel: string): Grant => ({
    stream: streamsOf(channel),
    joinLeave: true,
    presence: true,
    skippable: channel.startsWith('skippable:'),
  });

  return {
    connect: async ({ token }) => {
      if (!token) return { identity: { user: '', kind: 'user', maxFrameBytes } };
      const payload = await claims(token, new Closing(closes.invalidToken));
      return { identity: { user: payload.sub ?? '', kind: 'user', info: payload.info, expiresAt: expiresAt(payload), maxFrameBytes } };
    },
    connected: () => undefined,
    disconnected: () => undefined,
    refresh: async (_client, { token }) => {
      try {
        return { expiresAt: expiresAt(await claims(token, new Closing(closes.invalidToken))) };
      } catch (error) {
        if (error instanceof Refusal) throw new Closing(closes.expired);
        throw error;
      }
    },
    subscribe: async (client, { channel, token }) => {
      if (!token) return grantOf(channel);
      const payload = await subscriptionClaims(client, channel, token);
      return { ...grantOf(channel), info: payload.info, expiresAt: expiresAt(payload) };
    },
    subRefresh: async (client, { channel, token }) => ({ expiresAt: expiresAt(await subscriptionClaims(client, channel, token)) }),
    publish: async (client, { channel, data }) => {
      const info = client.rooms.get(channel)?.info ?? client.info;
      hub.publish(channel, streamsOf(channel).add(channel, JSON.stringify(data), JSON.stringify(info)));
    },
    read: async (_client, channel) => grantOf(channel),
    rpc: async () => {
      throw new Refusal(errors.notAvailable);
    },
  };
}
