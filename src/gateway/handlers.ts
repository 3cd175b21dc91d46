/** The table from command to handler, for connections that are connected. */

import type { Client } from '../hub/client.ts';
import { Closing, Refusal } from '../hub/refusal.ts';
import type { StreamEntry } from '../hub/stream.ts';
import { closes, errors } from '../protocol/codes.ts';
import type { HistoryRequest, Method, Methods, SubscribeRequest } from '../protocol/commands.ts';
import type { Command } from '../protocol/frames.ts';
import { encodePage, encodeReply } from '../protocol/replies.ts';
import type { Call } from './call.ts';
import type { Deferred } from './policy.ts';
import { expiry, type Services } from './services.ts';

/** A reply that holds the next command not up. */
export interface Later extends Deferred<unknown> {
  encode: (result: unknown) => string;
}

/** The reply as text, or what it comes from; nothing: the handler sent it itself. */
export type Answer = string | Later | undefined;
type Handler<M extends Method> = (
  services: Services,
  client: Client,
  id: number,
  request: Methods[M]['request'],
  call: Call,
) => Promise<Answer> | Answer;

/** Publications in one page of history. */
const maxPage = 300;
/** A page stops growing here, so that no reply overruns its reader's queue. */
const maxPageBytes = 512 * 1024;

/** Runs a command. Throws or rejects with `Refusal` or `Closing` for what the client is to blame for. */
export function handle(
  services: Services,
  client: Client,
  { id, method, request }: ConnectedCommand,
  call: Call,
): Promise<Answer> | Answer {
  return (handlers[method] as Handler<Method>)(services, client, id, request, call);
}

type ConnectedCommand = Exclude<Command, { method: 'connect' }>;

const handlers: { [M in Exclude<Method, 'connect'>]: Handler<M> } = {
  subscribe,

  unsubscribe: ({ hub }, client, id, { channel }) => {
    hub.unsubscribe(client, channel);
    return encodeReply(id, 'unsubscribe', {});
  },

  publish: ({ policy }, client, id, request) => {
    const encode = (): string => encodeReply(id, 'publish', {});
    const done = policy.publish(client, request);
    return 'later' in done ? { later: done.later, encode } : done.then(encode);
  },

  presence: async (services, client, id, { channel }) => {
    await mayKnow(services, client, channel);
    const infos = await services.hub.presence.everyone(channel);
    if (!infos) throw new Refusal(errors.limitExceeded, 'too many people are here to list them; ask presence_stats');
    return encodeReply(id, 'presence', { presence: Object.fromEntries(infos.map((info) => [info.client, info])) });
  },

  presence_stats: async (services, client, id, { channel }) => {
    await mayKnow(services, client, channel);
    const { clients, users } = await services.hub.presence.counts(channel);
    return encodeReply(id, 'presence_stats', { num_clients: clients, num_users: users });
  },

  history,

  rpc: ({ policy }, client, id, request) => {
    const encode = (data: unknown): string => encodeReply(id, 'rpc', { data });
    const done = policy.rpc(client, request);
    return 'later' in done ? { later: done.later, encode } : done.then(encode);
  },

  send: () => {
    throw new Closing(closes.notAvailable);
  },

  refresh: async ({ policy, clock, version }, client, id, request) => {
    if (client.identity.expiresAt === undefined) throw new Closing(closes.badRequest, 'refresh of credentials that do not expire');
    const { expiresAt } = await policy.refresh(client, request);
    client.identity.expiresAt = expiresAt;
    return encodeReply(id, 'refresh', { client: client.id, version, ...expiry(expiresAt, clock) });
  },

  sub_refresh: async ({ policy, clock }, client, id, request) => {
    const membership = client.rooms.get(request.channel);
    if (!membership) throw new Refusal(errors.permissionDenied, 'not subscribed');
    if (membership.expiresAt === undefined) throw new Closing(closes.badRequest, 'refresh of a subscription that does not expire');
    const { expiresAt } = await policy.subRefresh(client, request);
    membership.expiresAt = expiresAt;
    return encodeReply(id, 'sub_refresh', expiry(expiresAt, clock));
  },
};

async function subscribe(
  { hub, policy, clock, limits, metrics }: Services,
  client: Client,
  id: number,
  request: SubscribeRequest,
  call: Call,
): Promise<Answer> {
  const { channel } = request;
  if (client.rooms.has(channel)) throw new Refusal(errors.alreadySubscribed);
  if (client.rooms.size >= limits.subscriptions) {
    metrics.dropped('subscription');
    throw new Refusal(errors.limitExceeded, `at most ${limits.subscriptions} subscriptions per connection`);
  }
  const grant = await policy.subscribe(client, request);
  if (call.isLate) return undefined;
  call.undo = () => hub.unsubscribe(client, channel);
  const recover = request.recover === true;
  const strict = ((request.flag ?? 0) & 2) !== 0;
  const wish = { recover, strict, offset: request.offset ?? 0, epoch: request.epoch ?? '' };
  await hub.subscribe(client, channel, grant, wish, ({ position, recovered, publications, data }) => {
    const result = {
      ...(position && {
        recoverable: true as const,
        positioned: true as const,
        epoch: position.epoch || undefined,
        offset: position.offset || undefined,
      }),
      ...(position && recover && { was_recovering: true as const, recovered: recovered || undefined }),
      ...expiry(grant.expiresAt, clock),
      data,
    };
    client.send(encodePage(id, 'subscribe', result, publications));
  });
  return undefined;
}

/** Refuses who may not know who is in the room. */
async function mayKnow({ policy }: Services, client: Client, channel: string): Promise<void> {
  const { presence } = await policy.read(client, channel);
  if (!presence) throw new Refusal(errors.notAvailable);
}

async function history(
  { policy }: Services,
  client: Client,
  id: number,
  { channel, limit, since, reverse }: HistoryRequest,
): Promise<Answer> {
  const { stream } = await policy.read(client, channel);
  if (!stream) throw new Refusal(errors.notAvailable);
  const epoch = since?.epoch || undefined;
  const wanted = limit ? (limit < 0 ? maxPage : Math.min(limit, maxPage)) : 0;
  const { top, entries } = await stream.read(channel, {
    since: since ? (since.offset ?? 0) : undefined,
    limit: wanted,
    reverse: reverse === true,
    epoch,
  });
  if (epoch !== undefined && epoch !== top.epoch) throw new Refusal(errors.unrecoverablePosition);
  return encodePage(id, 'history', top, withinBytes(entries));
}

/** The beginning of the page that fits, at least one entry. */
function withinBytes(entries: StreamEntry[]): StreamEntry[] {
  let bytes = 0;
  const end = entries.findIndex(({ data, info }, at) => {
    bytes += Buffer.byteLength(data) + (info ? Buffer.byteLength(info) : 0);
    return at > 0 && bytes > maxPageBytes;
  });
  return end < 0 ? entries : entries.slice(0, end);
}
