/** Starts a hub with real rules, database and gateway for one test. */

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import fastify from 'fastify';
import { exportJWK, SignJWT } from 'jose';
import type { KeyObject } from 'node:crypto';
import { AgentPresence } from '../../src/actions/agentPresence.ts';
import type { PresenceTimes } from '../../src/actions/agentPresence.ts';
import { backfill, Gaps } from '../../src/actions/backfill.ts';
import { FleetBoard } from '../../src/actions/fleet.ts';
import { gatherInventories } from '../../src/actions/keepInventory.ts';
import type { Committing } from '../../src/actions/ingestSample.ts';
import { Outages } from '../../src/actions/outages.ts';
import { postEvent } from '../../src/actions/postEvent.ts';
import { createAccessTokens } from '../../src/auth/accessToken.ts';
import { deriveKeys } from '../../src/auth/secretKey.ts';
import { Directory } from '../../src/data/directory.ts';
import { insertHost, insertHostRoom, setHostKey } from '../../src/data/hosts.ts';
import { ensureGroup, setMembership } from '../../src/data/groups.ts';
import { insertPerson } from '../../src/data/people.ts';
import { insertSession } from '../../src/data/sessions.ts';
import { SampleWriter } from '../../src/data/writer.ts';
import type { WriterOptions } from '../../src/data/writer.ts';
import { isAway } from '../../src/db/database.ts';
import type { Database } from '../../src/db/database.ts';
import { startHubClock } from '../../src/db/hubClock.ts';
import { Gateway } from '../../src/gateway/gateway.ts';
import { hostroomPolicy, rates } from '../../src/gateway/hostroomPolicy.ts';
import { Hub } from '../../src/hub/hub.ts';
import { newId } from '../../src/lib/id.ts';
import type { PublicKey, Role } from '../../src/protocol/rest.ts';
import { MemoryRelay } from '../../src/relay/memory.ts';
import { ConversationStream } from '../../src/streams/conversation.ts';
import { SampleStream } from '../../src/streams/samples.ts';

export interface TestHubOptions {
  database: Database;
  presence?: PresenceTimes;
  writer?: Partial<WriterOptions>;
  /** In place of the writer, to prove that a test notices a false one. */
  committing?: (writer: SampleWriter) => Committing;
  gapQuietMs?: number;
  retentionRawMs?: number;
}

export interface TestHost {
  id: string;
  name: string;
  /** A fresh connect token. */
  token(): Promise<string>;
}

export type TestHub = Awaited<ReturnType<typeof startTestHub>>;

export async function startTestHub(whenDone: (close: () => Promise<void>) => void, options: TestHubOptions) {
  const { sql } = options.database;
  const failures: unknown[] = [];
  const silent = { error: () => {}, warn: () => {}, debug: () => {} };
  const [row] = await sql<[{ id: string; epoch: string }]>`
    insert into hub (id, epoch) values (${newId()}, 'life-1') on conflict (one) do update set one = true returning id, epoch`;
  const clock = await startHubClock({ sql, log: silent });
  const hub = new Hub({ relay: new MemoryRelay(), holeWaitMs: 50, spreadMs: 50, onError: (error) => failures.push(error) });
  await hub.start();

  const writer = new SampleWriter({ sql, ...options.writer });
  const samples = new SampleStream({ sql });
  const directory = new Directory({ sql });
  const conversations = new ConversationStream({ sql, epoch: row.epoch });
  const conversation = { sql, hub, stream: conversations, clock };
  const fleet = new FleetBoard({ hub, clock, everyMs: 100 });
  fleet.start();
  const failed = (error: unknown): void => void failures.push(error);
  const presence = new AgentPresence(
    {
      sql,
      hub,
      replica: newId(),
      announced: () => {},
      event: (host, what, details) => postEvent(conversation, { room: host, what, details }),
      status: (host, group, online) => fleet.status(host, group, online),
      failed: (error) => void (isAway(error) || failed(error)),
    },
    options.presence,
  );
  presence.start();
  const gaps = new Gaps({
    quietMs: options.gapQuietMs,
    closed: ({ host, fromMs, toMs, details }) =>
      postEvent(conversation, { room: host, what: 'gap_filled', at: fromMs, until: toMs, details }),
    failed,
  });

  let away: Record<string, boolean> = {};
  const outages = new Outages({ hub, degraded: () => away, everyMs: 20 });
  outages.start();

  const committing = options.committing?.(writer) ?? writer;
  const retentionRawMs = options.retentionRawMs ?? 24 * 3_600_000;
  const keys = deriveKeys(randomBytes(32));
  const accessTokens = createAccessTokens({ keys, hub: row.id, clock });
  const policy = hostroomPolicy({
    hub,
    identify: { directory, accessTokens, hub: row.id, clock },
    rooms: { sql, directory, samples, conversations, fleet, clock },
    ingest: {
      hub,
      writer: committing,
      stream: samples,
      clock,
      retentionRawMs,
      observe: (session, sample) => fleet.observe(session.host, session.group, sample),
    },
    backfill: { writer: committing, clock, retentionRawMs, gaps },
    inventory: {
      save: gatherInventories(sql),
      event: (draft) => postEvent(conversation, draft),
      changed: (host) => directory.hostChanged(host),
    },
    conversation,
    presence,
    outages,
  });
  const gateway = new Gateway({
    hub,
    policy,
    clock,
    log: { ...silent, error: (details) => failures.push(details) },
    // Tests let agents publish as fast as they like.
    rates: { ...rates, publications: undefined },
    limits: { subscriptions: 128, connectionsPerUser: 1_000, connectionsPerAddress: 10_000, handshakes: 10_000 },
    allowedOrigins: undefined,
    version: 'test',
  });
  const app = fastify();
  await gateway.register(app);
  await app.listen({ port: 0, host: '127.0.0.1' });
  const url = `ws://127.0.0.1:${(app.server.address() as AddressInfo).port}/connection/websocket`;
  const group = await ensureGroup(sql, newId(), `group ${newId()}`);

  whenDone(async () => {
    await app.close();
    await gaps.close();
    fleet.close();
    outages.close();
    await presence.close();
    await writer.close(1_000);
    await hub.close();
    clock.close();
  });

  return {
    url,
    sql,
    directory,
    hub,
    clock,
    writer,
    samples,
    conversations,
    conversation,
    fleet,
    presence,
    gaps,
    group,
    failures,
    accessTokens,
    backfill,
    /** Says which dependencies are away, as the hub's own sources would. */
    degrade: (now: Record<string, boolean>): void => void (away = now),

    /** A host whose agent is enrolled. */
    async addHost(name = 'web-1'): Promise<TestHost> {
      const { publicKey, privateKey } = generateKeyPairSync('ed25519');
      const id = newId();
      await insertHost(sql, { id, name, group });
      await insertHostRoom(sql, { id, name, group });
      await setHostKey(sql, id, (await exportJWK(publicKey)) as PublicKey, null);
      return { id, name, token: () => agentToken(privateKey, id, row.id, clock.now()) };
    },

    /** A person with a role on the group, signed in. */
    async addPerson(
      role: Role | 'none' = 'member',
      name = 'Ada',
    ): Promise<{ id: string; name: string; session: string; accessToken: string }> {
      const [id, session] = [newId(), newId()];
      await insertPerson(sql, { id, email: `${id}@example.org`, name, admin: false, passwordHash: null });
      if (role !== 'none') await setMembership(sql, group, id, role);
      await insertSession(sql, { id: session, person: id, tokenHash: randomBytes(32), agent: '', address: '', lifetimeS: 3600 });
      return { id, name, session, accessToken: (await accessTokens.issue(id, session)).accessToken };
    },
  };
}

/** A connect token as an agent signs it. */
export function agentToken(key: KeyObject, host: string, hub: string, nowMs: number): Promise<string> {
  const iat = Math.floor(nowMs / 1000);
  return new SignJWT({})
    .setProtectedHeader({ alg: 'EdDSA', typ: 'agent+jwt', kid: host })
    .setSubject(host)
    .setAudience(hub)
    .setIssuedAt(iat)
    .setExpirationTime(iat + 300)
    .setJti(newId())
    .sign(key);
}
