/** Starts hearing what other replicas tell, with what mends that some of it is not heard. */

import type { AgentPresence } from './actions/agentPresence.ts';
import { CatchUp } from './actions/catchUp.ts';
import type { FleetBoard } from './actions/fleet.ts';
import { FleetElsewhere } from './actions/fleetElsewhere.ts';
import { fleetBetween } from './actions/fleetRecord.ts';
import { receiveRelayed } from './actions/receiveRelayed.ts';
import { refillRecent } from './actions/refillRecent.ts';
import type { Pool } from './db/database.ts';
import type { Hub } from './hub/hub.ts';
import type { Clock } from './lib/clock.ts';
import type { Closers } from './lib/closers.ts';
import type { Metrics } from './ops/metrics.ts';
import type { Tracing } from './ops/tracing.ts';
import type { RelayRecord } from './relay/relay.ts';
import type { Replication } from './replication.ts';
import type { ConversationStream } from './streams/conversation.ts';
import type { SampleStream } from './streams/samples.ts';

export interface HearingOptions {
  sql: Pool;
  hub: Hub;
  samples: SampleStream;
  conversations: ConversationStream;
  fleet: FleetBoard;
  presence: AgentPresence;
  replication: Replication;
  clock: Clock;
  metrics: Metrics;
  closers: Closers;
  /** Absent: no traces. */
  tracing?: Tracing;
  /** Something failed that nobody waits for. */
  failed(error: unknown, what: string): void;
}

/** Pushes what it starts on `closers`. */
export async function startHearing(options: HearingOptions): Promise<void> {
  const { sql, hub, samples, conversations, fleet, presence, clock, metrics, closers, tracing, failed } = options;
  const { link, notices, recent } = options.replication;
  const between = { [fleetBetween]: (record: RelayRecord) => fleet.hear(record) };
  notices.on('agentConnected', (connection) => presence.announcedElsewhere(connection));
  await hub.start(receiveRelayed({ hub, samples, conversations, between, dropped: metrics.dropped, tracing }));
  // The canary takes its time; a lost connection is known at once.
  const areAway = (): boolean => link !== undefined && (link.isAway || link.commands.status !== 'ready');
  const catchUp = new CatchUp({
    sql,
    hub,
    samples,
    conversations,
    clock,
    others: link && {
      areAway,
      mayHold: (host) => !presence.isConnected(host),
    },
    caughtUp: metrics.caughtUp,
    failed,
  });
  catchUp.start();
  closers.add('catching up', () => catchUp.close());
  const elsewhere = new FleetElsewhere({ sql, board: fleet, clock, areAway, failed });
  if (link) elsewhere.start();
  closers.add('hosts elsewhere', () => elsewhere.close());
  // So what is told in the moment Redis freezes is seen within 2 s, though it is called away only later.
  link?.onLate(() => catchUp.doubt());
  link?.onBack(() => {
    catchUp.doubt();
    fleet.tellAnew();
    const hosts = presence.sessions().map(({ host }) => host);
    refillRecent({ recent: recent!, samples }, hosts).catch((error: unknown) => link.isAway || failed(error, 'filling Redis anew'));
  });
}
