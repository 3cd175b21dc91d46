/** Builds the hub out of its parts; the only place that does. */

import { join } from 'node:path';
import { AgentPresence } from './actions/agentPresence.ts';
import { Gaps } from './actions/backfill.ts';
import { FleetBoard } from './actions/fleet.ts';
import { fleetBetween } from './actions/fleetRecord.ts';
import { localEnrolment } from './actions/hosts.ts';
import { gatherInventories } from './actions/keepInventory.ts';
import type { IngestParts } from './actions/ingestSample.ts';
import { postEvent, type EventDraft } from './actions/postEvent.ts';
import { prepareHub } from './actions/prepareHub.ts';
import { Outages } from './actions/outages.ts';
import { revocations } from './actions/revocations.ts';
import { makeSignInLink, signInLinkIfNeeded } from './actions/signInLink.ts';
import { openAdmission } from './admission.ts';
import { createApi } from './api/api.ts';
import { createAccessTokens } from './auth/accessToken.ts';
import { createPasswords } from './auth/passwords.ts';
import { createRefreshTokens } from './auth/refreshToken.ts';
import { deriveKeys, loadSecret } from './auth/secretKey.ts';
import { openAll, type CloseFailed, type Closers } from './lib/closers.ts';
import { Cluster } from './cluster/cluster.ts';
import type { Config } from './config.ts';
import { findHostKey } from './data/hosts.ts';
import { SampleWriter } from './data/writer.ts';
import { isAway, type Database } from './db/database.ts';
import { Gateway } from './gateway/gateway.ts';
import { hostroomPolicy, rates } from './gateway/hostroomPolicy.ts';
import { startHearing } from './hearing.ts';
import { openHistory } from './history.ts';
import { Hub } from './hub/hub.ts';
import type { ExportedHost } from './ops/hostMetrics.ts';
import { createMetrics } from './ops/metrics.ts';
import type { Log } from './ops/log.ts';
import { startOpsServer } from './ops/opsServer.ts';
import { openReplication } from './replication.ts';
import { openStorage } from './storage.ts';
import { openTraces } from './traces.ts';
import { ConversationStream } from './streams/conversation.ts';
import { SampleStream } from './streams/samples.ts';

export interface App {
  config: Config;
  opsUrl: string;
  /** The hub's id. */
  id: string;
  /** The link to show at a start; undefined once an admin has a password. */
  signInLink(): Promise<string | undefined>;
  newSignInLink(): Promise<string>;
  /** Lets the agent of this very machine in, once. */
  localEnrolment(): Promise<string>;
  /** Whether the host's agent may connect with the key it has. */
  isEnrolled(host: string): Promise<boolean>;
  /** Stops in order: no new connections, everyone told, what was taken in committed, then the database. */
  close(): Promise<void>;
}

export interface AppOptions {
  config: Config;
  log: Log;
  version: string;
  /** The folder with `web/dist`. */
  root: string;
}

/** Starts a hub; throws with a message that says what to do, having closed what was open. */
export async function startApp(options: AppOptions): Promise<App> {
  const failed: CloseFailed = (error, what) => options.log.error({ err: error, what }, 'could not be closed');
  return openAll((closers) => build(options, closers, failed), failed);
}

async function build({ config, log, version, root }: AppOptions, closers: Closers, failed: CloseFailed): Promise<App> {
  let notReady: string | undefined = 'starting';
  let exported: () => ExportedHost[] = () => [];
  let hub: Hub | undefined;
  let writer: SampleWriter | undefined;
  let database: Database | undefined;
  let degraded = (): Record<string, boolean> => ({ postgresql: false });
  const metrics = createMetrics({
    connections: () => hub?.connections ?? { agent: 0, user: 0 },
    subscriptions: () => hub?.subscriptions ?? 0,
    dbPool: () => database?.connections() ?? {},
    writerQueue: () => writer?.depth ?? { rows: 0, bytes: 0 },
    degraded: () => degraded(),
    hosts: () => exported(),
  });
  closers.add('metrics', () => metrics.close());
  const opsServer = await startOpsServer({
    host: config.host,
    port: config.opsPort,
    metrics,
    notReady: () => notReady,
    onError: (error) => log.error({ err: error }, 'the operations server failed'),
  });
  closers.add('operations server', () => opsServer.close());

  const storage = await openStorage(config, log, closers);
  const { identity, clock } = storage;
  database = storage.database;
  const { sql } = database;
  const background = (error: unknown, what: string): void => {
    metrics.error('background');
    log[isAway(error) ? 'warn' : 'error']({ err: error, what }, 'a task in the background failed');
  };
  const history = await openHistory({ config, sql, clock, log, metrics, closers, failed: background });
  const { names, reader, retention, corrupt } = history;

  const keys = deriveKeys(await loadSecret(config.secretKey, config.dataDir));
  const passwords = createPasswords();
  await prepareHub({ sql, passwords, admin: config.admin });
  const accessTokens = createAccessTokens({ keys, hub: identity.id, clock });

  const replication = openReplication({ config, log, metrics, closers, hubId: identity.id });
  const tracing = config.tracing && (await openTraces(config.tracing, { log, version, replica: replication.replica, closers }));
  const { directory, seats, loginLimits, enrolTries } = openAdmission({ sql, metrics, closers, replication, failed: background });
  const { relay, notices, replica, link, recent, presence: elsewhere } = replication;
  hub = new Hub({
    relay,
    presence: elsewhere,
    metrics: { ...metrics, slowClosed: metrics.slowClientClosed, deliverSeconds: metrics.delivered },
    onError: background,
  });
  const rooms = hub;
  closers.add('hub', () => rooms.close());

  writer = new SampleWriter({
    sql,
    committed: metrics.committed,
    refused: (fault, rows) => metrics.dropped(`sample_${fault}`, rows),
    away: (away, reason) =>
      away ? log.error({ err: reason }, 'the database is away; agents keep their samples') : log.info({}, 'the database is back'),
  });
  const commits = writer;
  degraded = () => ({ postgresql: !commits.isStoring || clock.isAway(), ...(link && { redis: link.isAway }) });
  closers.add('writer', () => commits.close());
  const samples = new SampleStream({ sql, names, recent });
  const conversations = new ConversationStream({ sql, epoch: identity.epoch });
  const conversation = { sql, hub, stream: conversations, clock, tracing };
  const hostChanged = (host: string): void => {
    directory.hostChanged(host);
    notices.tell({ kind: 'hostChanged', host });
  };
  const event = (draft: EventDraft): Promise<unknown> => {
    // Whatever becomes of a host is an event in its room.
    hostChanged(draft.room);
    return postEvent(conversation, draft);
  };

  const fleet = new FleetBoard({
    hub,
    clock,
    others: link && {
      isHere: (host) => presence.isConnected(host),
      tell: (record) => relay.publish(fleetBetween, record),
      dropped: () => metrics.dropped('relay_record'),
    },
  });
  fleet.start();
  closers.add('fleet', () => fleet.close());
  const gaps = new Gaps({
    closed: ({ host, fromMs, toMs, details }) => event({ room: host, what: 'gap_filled', at: fromMs, until: toMs, details }),
    failed: (error) => background(error, 'telling of a filled gap'),
  });
  closers.add('gaps', () => gaps.close());
  const presence = new AgentPresence({
    sql,
    hub,
    replica,
    announced: (connection) => notices.tell({ kind: 'agentConnected', ...connection }),
    event: (host, what, details) => event({ room: host, what, details }),
    status: (host, group, online) => fleet.status(host, group, online),
    failed: background,
  });
  presence.start();
  closers.add('presence', () => presence.close());
  const heard = { sql, hub, samples, conversations, fleet, presence };
  await startHearing({ ...heard, replication, clock, metrics, tracing, closers, failed: background });
  exported = () =>
    presence.sessions().map(({ host, name, group }) => ({ id: host, name, group, sample: samples.latest(host).sample ?? undefined }));
  const outages = new Outages({ hub, degraded });
  outages.start();
  closers.add('outages', () => outages.close());

  const cluster = new Cluster({ config, log, metrics, clock, version, replica, link, hub, leaving: () => (notReady = 'draining') });
  cluster.start();
  closers.add('cluster', () => cluster.close());

  const roomParts = { sql, directory, samples, conversations, fleet, clock };
  const rights = revocations({ hub, directory, notices, rooms: roomParts, presence, fleet, samples, failed: background });

  const observe: IngestParts['observe'] = (session, sample) => {
    metrics.sampled(session.host, sample);
    fleet.observe(session.host, session.group, sample);
  };
  const policy = hostroomPolicy({
    hub,
    identify: { directory, accessTokens, hub: identity.id, clock },
    rooms: roomParts,
    ingest: { hub, writer, stream: samples, clock, tracing, retentionRawMs: config.retention.rawMs, observe },
    backfill: { writer, clock, retentionRawMs: config.retention.rawMs, gaps },
    inventory: { save: gatherInventories(sql), event, changed: hostChanged },
    conversation,
    presence,
    outages,
  });
  const gateway = new Gateway({
    hub,
    policy,
    clock,
    log,
    tracing,
    version,
    limits: config.limits,
    rates,
    elsewhere: seats,
    allowedOrigins: config.allowedOrigins,
    prefersOthers: () => cluster.prefersOthers(),
    metrics: { received: metrics.received, error: metrics.error, dropped: metrics.dropped, drainIncomplete: metrics.drainIncomplete },
  });
  const server = await createApi({
    log,
    metrics,
    tracing,
    clock,
    sql,
    hub: identity.id,
    publicUrl: config.publicUrl,
    allowedOrigins: config.allowedOrigins,
    trustedProxies: config.trustedProxies,
    passwords,
    accessTokens,
    refreshTokens: createRefreshTokens(keys),
    loginLimits,
    enrolTries,
    conversation,
    event,
    live: fleet,
    present: (room) => rooms.presence.users(room),
    ...rights,
    tokenReused: (session, person) => {
      log.warn({ session, person }, 'a refresh token was used twice; its session was ended');
    },
    hostDeleted: (host) => rights.hostDeleted(host.id),
    history: { sql, names, corrupt },
    series: { reader, names, clock, corrupt, kept: () => retention.current },
    retention: { retention, apply: () => history.partitions.hurry() },
    replicas: cluster,
    webRoot: join(root, 'web/dist'),
    version,
    // Upgrades on its routes only: it has to know of all others.
    first: (app) => gateway.register(app),
  });
  closers.add('HTTP server', () => server.close());
  closers.add('reader', () => reader.close());
  // All clients of a replica that died may come in one moment; the kernel refuses, or lets wait for seconds, whom its queue has no room for.
  await server.listen({ host: config.host, port: config.port, backlog: 4_096 });
  // A pod may be deleted while it starts.
  if (notReady === 'starting') notReady = undefined;
  cluster.ready();

  return {
    config,
    opsUrl: addressOf(config.host, opsServer.port),
    id: identity.id,
    signInLink: () => signInLinkIfNeeded(sql, config.publicUrl),
    newSignInLink: () => makeSignInLink(sql, config.publicUrl),
    localEnrolment: async () => (await localEnrolment({ sql })).token,
    isEnrolled: async (host) => ((await findHostKey(sql, host))?.publicKey ?? null) !== null,
    close: async () => {
      await cluster.drain();
      await closers.close(failed);
    },
  };
}

const addressOf = (host: string, port: number): string => `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
