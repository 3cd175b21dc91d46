/** Answers what the protocol layer asks: hostroom's own rules for people and agents. */

import type { AgentPresence } from '../actions/agentPresence.ts';
import { sessionOf } from '../actions/agentSession.ts';
import type { AgentSession } from '../actions/agentSession.ts';
import { backfill } from '../actions/backfill.ts';
import type { BackfillParts } from '../actions/backfill.ts';
import type { ConversationParts } from '../actions/conversation.ts';
import { enterRoom, noEntry, roleToWrite } from '../actions/enterRoom.ts';
import type { RoomParts } from '../actions/enterRoom.ts';
import { identify, identifyUser } from '../actions/identify.ts';
import type { IdentifiedAgent, IdentifiedUser, IdentifyNeeds } from '../actions/identify.ts';
import { ingestSample } from '../actions/ingestSample.ts';
import type { IngestParts } from '../actions/ingestSample.ts';
import { keepInventory } from '../actions/keepInventory.ts';
import type { InventoryParts } from '../actions/keepInventory.ts';
import type { Outages } from '../actions/outages.ts';
import { postMessage } from '../actions/postMessage.ts';
import { appearanceOf, personOf, recheckRoomsOf } from '../actions/revoke.ts';
import { isAway } from '../db/database.ts';
import { AppError } from '../errors.ts';
import type { Client } from '../hub/client.ts';
import type { Hub } from '../hub/hub.ts';
import { Closing, Refusal } from '../hub/refusal.ts';
import { checkAnnouncement } from '../protocol/checks.ts';
import { closes, errors } from '../protocol/codes.ts';
import type { ConnectRequest, PublishRequest, RpcRequest } from '../protocol/commands.ts';
import { hostRoom } from '../protocol/rooms.ts';
import type { Rates } from './allowance.ts';
import type { Admission, Deferred, Identity, Policy } from './policy.ts';

export interface PolicyParts {
  hub: Pick<Hub, 'unsubscribe'>;
  identify: IdentifyNeeds;
  rooms: RoomParts;
  ingest: IngestParts;
  backfill: BackfillParts;
  inventory: InventoryParts;
  conversation: ConversationParts;
  presence: AgentPresence;
  outages: Pick<Outages, 'connected'>;
}

const agentFrameBytes = 512 * 1024;
const personFrameBytes = 64 * 1024;

export const rates: Rates = {
  /** Enough for a page that joins all its rooms at once and for fast typing; a loop is told to wait. */
  commands: { perSecond: 50, burst: 500 },
  bytes: { perSecond: 64 * 1024, burst: 1024 * 1024 },
  /** An agent publishes one sample a second, and one of processes every five at most. */
  publications: { perSecond: 5, burst: 300 },
};

export function hostroomPolicy(parts: PolicyParts): Policy {
  return {
    connect: (request) => answering(() => connect(parts, request)),
    connected: (client) => {
      parts.presence.connected(client);
      parts.outages.connected(client);
    },
    disconnected: (client) => parts.presence.disconnected(client),
    refresh: (client, { token }) => answering(() => refresh(parts, client, token)),
    subscribe: (client, { channel }) => answering(() => enter(parts, client, channel)),
    subRefresh: () => Promise.reject(new Refusal(errors.notAvailable)),
    publish: (client, request) => publish(parts, client, request),
    read: (client, channel) => answering(() => enter(parts, client, channel)),
    rpc: (client, request) => rpc(parts, client, request),
  };
}

async function connect(parts: PolicyParts, { token, data }: ConnectRequest): Promise<Admission> {
  const who = await identify(parts.identify, token ?? '');
  if (who === 'expired') throw new Refusal(errors.tokenExpired);
  if (who === 'invalid') throw new Closing(closes.invalidToken);
  return { identity: who.kind === 'user' ? identityOf(who) : await admitAgent(parts, who, data) };
}

async function admitAgent(parts: PolicyParts, agent: IdentifiedAgent, data: unknown): Promise<Identity> {
  const { ok, fault } = checkAnnouncement(data);
  if (!ok) throw new Refusal(errors.badRequest, fault);
  const session = await parts.presence.announce(agent, ok.boot, ok.connection);
  // The token opens the connection only: no expiresAt.
  return { user: agent.id, kind: 'agent', info: { kind: 'agent', name: agent.name }, maxFrameBytes: agentFrameBytes, extra: session };
}

function identityOf({ id, name, admin, session, expiresAt }: IdentifiedUser): Identity {
  return { user: id, kind: 'user', ...appearanceOf({ id, name, admin }), expiresAt, session, maxFrameBytes: personFrameBytes };
}

async function refresh(parts: PolicyParts, client: Client, token: string): Promise<{ expiresAt?: number }> {
  if (sessionOf(client)) throw new Closing(closes.badRequest, 'agents do not refresh');
  // Asked anew, so that a change of rights that was told to nobody ends here.
  parts.rooms.directory.personChanged(client.identity.user);
  const who = await identifyUser(parts.identify, token);
  if (who === 'expired') throw new Closing(closes.expired);
  if (who === 'invalid' || who.id !== client.identity.user) throw new Closing(closes.invalidToken);
  client.identity = identityOf(who);
  await recheckRoomsOf(parts.rooms, parts.hub, client);
  return { expiresAt: who.expiresAt };
}

async function enter(parts: PolicyParts, client: Client, channel: string): ReturnType<typeof enterRoom> {
  if (sessionOf(client)) throw noEntry();
  return enterRoom(parts.rooms, personOf(client), channel);
}

function publish(parts: PolicyParts, client: Client, { channel, data }: PublishRequest): Promise<void> | Deferred<void> {
  const session = sessionOf(client);
  if (!session) return answering(() => say(parts, client, channel, data));
  if (channel !== hostRoom(session.host)) throw noEntry();
  return { later: ingestSample(parts.ingest, session, data) };
}

/** A person's next command waits for the commit, so that it finds the message there. */
async function say(parts: PolicyParts, client: Client, channel: string, data: unknown): Promise<void> {
  const person = personOf(client);
  const { room, role } = await roleToWrite(parts.rooms.sql, person, channel);
  const { id, name } = person;
  await postMessage(parts.conversation, { author: { id, name }, role, client: client.id }, room, data);
}

function rpc(parts: PolicyParts, client: Client, { method, data }: RpcRequest): Promise<unknown> | Deferred<unknown> {
  const session = sessionOf(client);
  const call = session && agentCalls.get(method ?? '');
  if (!call) throw new Refusal(errors.notAvailable);
  return { later: answering(() => call(parts, session, data)) };
}

type AgentCall = (parts: PolicyParts, session: AgentSession, data: unknown) => Promise<unknown>;

const agentCalls: ReadonlyMap<string, AgentCall> = new Map<string, AgentCall>([
  ['backfill', (parts, session, data) => backfill(parts.backfill, session, data)],
  [
    'inventory',
    async (parts, session, data) => {
      await keepInventory(parts.inventory, session, data);
      return {};
    },
  ],
]);

/** Says in the wire's terms what an action refuses in its own. */
async function answering<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof AppError) throw toRefusal(error);
    if (isAway(error)) throw new Refusal(errors.internal, 'the database is away; try again shortly', { cause: error });
    throw error;
  }
}

function toRefusal(error: AppError): Refusal {
  // Why a room may not be entered is nobody's business; what is wrong with a message is its author's.
  if (error.status === 403 || error.status === 404) return noEntry();
  const table = error.status === 429 ? errors.tooManyRequests : error.status >= 500 ? errors.internal : errors.badRequest;
  return new Refusal(table, error.detail, { cause: error });
}
