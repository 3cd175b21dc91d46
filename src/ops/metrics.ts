/** What the hub counts about itself, for Prometheus. */

import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import { hostMetrics, type ExportedHost } from './hostMetrics.ts';
import { HostSeriesKeeper, type Reading } from './hostSeries.ts';
import { nodeMetrics } from './nodeMetrics.ts';

/** Asked at each scrape; may be called from the first scrape on, so each must work before its part has started. */
export interface MetricSources {
  connections(): { agent: number; user: number };
  subscriptions(): number;
  /** Database connections by state, such as `{ used: 3, idle: 7 }`. */
  dbPool(): Record<string, number>;
  /** Dependencies by name: true while away, such as `{ postgresql: false }`. */
  degraded(): Record<string, boolean>;
  /** What waits for its commit. */
  writerQueue(): { rows: number; bytes: number };
  /** Those whose agent is connected to this replica. */
  hosts(): Iterable<ExportedHost>;
}

/** Plain callbacks for the parts below; seconds where not said otherwise. Label values come from small fixed sets. */
export interface Metrics {
  received(kind: string, count?: number): void;
  sent(kind: string, count?: number): void;
  /** A sample's way from arrival to commit. */
  committed(seconds: number): void;
  /** A publication's way from arrival to the last socket write on this replica. */
  delivered(seconds: number): void;
  /** A publication's way from one replica to another. */
  relayed(seconds: number): void;
  /** `route` is the pattern, never the path. */
  http(method: string, route: string, status: number, seconds: number): void;
  error(where: string): void;
  dropped(what: string, count?: number): void;
  slowClientClosed(): void;
  /** A question to the directory, answered from memory or by the database. */
  lookedUp(part: string, result: 'kept' | 'loaded'): void;
  recovered(result: 'recovered' | 'unrecovered'): void;
  /** Publications read from PostgreSQL because no record of another replica had brought them. */
  caughtUp(kind: 'sample' | 'conversation', count: number): void;
  /** Host-minutes put into chunks, and how many of them had a chunk that late samples were merged into. */
  sealed(minutes: number, merged: number): void;
  /** One transaction of sealing. */
  sealSeconds(seconds: number): void;
  corruptChunk(): void;
  /** Bytes on disk by tier of history. */
  storage(bytes: Readonly<Record<string, number>>): void;
  /** Set when a stop ran out of time with clients still connected. */
  drainIncomplete(): void;
  /** Which part of SHUTDOWN_GRACE the stop has taken so far. */
  drainTook(graceRatio: number): void;
  /** Connections closed so that they go to a replica with more room. */
  moved(count: number): void;
  /** Messages received and sent so far. */
  messages(): number;
  /** A live sample of a host whose agent is connected here. */
  sampled(host: string, sample: Reading): void;
  /** What `/metrics` says, piece by piece: with thousands of hosts it is many megabytes. */
  page(): AsyncIterable<string>;
  /** What `/metrics/node` says: the hosts under the names of node_exporter. */
  nodePage(): AsyncIterable<string>;
  readonly contentType: string;
  close(): void;
}

/** Long enough for every scrape and its alert, and not until the next restart. */
const cutShownMs = 600_000;

/** One registry per hub, so that several hubs can live in one process. */
export function createMetrics(sources: MetricSources): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  // Gauges named like counters, which promtool refuses; `nodejs_active_resources` says the same by type.
  for (const name of ['handles', 'requests', 'resources']) registry.removeSingleMetric(`nodejs_active_${name}_total`);

  const gauge = (name: string, help: string, labelNames: string[], read: () => [Record<string, string>, number][]): void => {
    const made = new Gauge({
      name: `hostroom_${name}`,
      help,
      labelNames,
      registers,
      collect() {
        made.reset();
        for (const [labels, value] of read()) made.set(labels, value);
      },
    });
  };
  const counter = (name: string, help: string, labelNames: string[] = []): Counter =>
    new Counter({ name: `hostroom_${name}`, help, labelNames, registers });
  const histogram = (name: string, help: string, buckets: number[], labelNames: string[] = []): Histogram =>
    new Histogram({ name: `hostroom_${name}`, help, buckets, labelNames, registers });

  gauge('connections', 'Open WebSocket connections by kind of client.', ['kind'], () =>
    Object.entries(sources.connections()).map(([kind, value]) => [{ kind }, value]),
  );
  gauge('subscriptions', 'Subscriptions of all clients of this replica.', [], () => [[{}, sources.subscriptions()]]);
  gauge('db_pool', 'Database connections by state.', ['state'], () =>
    Object.entries(sources.dbPool()).map(([state, value]) => [{ state }, value]),
  );
  gauge('degraded', '1 while the dependency is away and the hub works without it.', ['dependency'], () =>
    Object.entries(sources.degraded()).map(([dependency, away]) => [{ dependency }, away ? 1 : 0]),
  );
  gauge('writer_queue_rows', 'Samples that wait for their commit.', [], () => [[{}, sources.writerQueue().rows]]);
  gauge('writer_queue_bytes', 'Bytes of the samples that wait for their commit.', [], () => [[{}, sources.writerQueue().bytes]]);
  let cutMs = -Infinity;
  gauge(
    'drain_incomplete',
    '1 for ten minutes after a stop, of this replica or another one, ran out of time with clients connected.',
    [],
    () => [[{}, performance.now() - cutMs < cutShownMs ? 1 : 0]],
  );
  const drainGrace = new Gauge({
    name: 'hostroom_drain_grace_ratio',
    help: 'Part of SHUTDOWN_GRACE that moving the clients away has taken; 0 until the stop.',
    registers,
  });
  const moved = counter('moved_connections_total', 'Connections closed so that they go to a replica with more room.');
  let messages = 0;
  const received = counter('messages_received_total', 'Messages received, by kind.', ['kind']);
  const sent = counter('messages_sent_total', 'Messages sent, by kind.', ['kind']);
  const errors = counter('errors_total', 'Failures that the log tells of, by the part that failed.', ['where']);
  const dropped = counter('dropped_total', 'What was dropped because a bound was reached.', ['what']);
  const slow = counter('slow_clients_closed_total', 'Clients closed because they read too slowly.');
  const lookups = counter(
    'directory_lookups_total',
    'Questions who someone is or where something belongs, by where the answer came from.',
    ['part', 'result'],
  );
  const recoveries = counter('recoveries_total', 'Subscriptions that asked for recovery, by result.', ['result']);
  const caughtUp = counter('caught_up_total', 'Publications of other replicas that came through PostgreSQL, not through the relay.', [
    'kind',
  ]);
  const commit = histogram('sample_commit_seconds', 'Time from the arrival of a sample to its commit.', steps(0.001, 5));
  const deliver = histogram('deliver_seconds', 'Time from arrival to socket write.', steps(0.0001, 0.5));
  const relay = histogram('relay_seconds', 'Time of a publication between replicas.', steps(0.0001, 0.5));
  const http = histogram('http_request_duration_seconds', 'Time of HTTP requests.', steps(0.001, 10), ['method', 'route', 'status']);

  const sealed = counter('sealed_chunks_total', 'Chunks written, one per host and minute.');
  const merged = counter('merged_chunks_total', 'Those of them that were there already and took late samples.');
  const seal = histogram('seal_seconds', 'Time of one transaction that puts samples into chunks.', steps(0.01, 10));
  const corrupt = counter('corrupt_chunks_total', 'Chunks of history that could not be read, or written.');
  const storage = new Gauge({ name: 'hostroom_storage_bytes', help: 'Bytes on disk by tier of history.', labelNames: ['tier'], registers });

  const series = new HostSeriesKeeper((count) => dropped.inc({ what: 'host_series' }, count));

  return {
    received: (kind, count = 1) => {
      messages += count;
      received.inc({ kind }, count);
    },
    sent: (kind, count = 1) => {
      messages += count;
      sent.inc({ kind }, count);
    },
    committed: (seconds) => commit.observe(seconds),
    delivered: (seconds) => deliver.observe(seconds),
    relayed: (seconds) => relay.observe(seconds),
    http: (method, route, status, seconds) => http.observe({ method, route, status: String(status) }, seconds),
    error: (where) => errors.inc({ where }),
    dropped: (what, count = 1) => dropped.inc({ what }, count),
    slowClientClosed: () => slow.inc(),
    lookedUp: (part, result) => lookups.inc({ part, result }),
    recovered: (result) => recoveries.inc({ result }),
    caughtUp: (kind, count) => caughtUp.inc({ kind }, count),
    sealed: (minutes, late) => {
      sealed.inc(minutes);
      merged.inc(late);
    },
    sealSeconds: (seconds) => seal.observe(seconds),
    corruptChunk: () => corrupt.inc(),
    storage: (bytes) => {
      for (const [tier, value] of Object.entries(bytes)) storage.set({ tier }, value);
    },
    drainIncomplete: () => void (cutMs = performance.now()),
    drainTook: (graceRatio) => drainGrace.set(graceRatio),
    moved: (count) => moved.inc(count),
    messages: () => messages,
    sampled: (host, sample) => series.observe(host, sample),
    async *page() {
      yield `${await registry.metrics()}\n`;
      const hosts = [...sources.hosts()];
      yield* hostMetrics(hosts, series.ask(hosts));
    },
    nodePage() {
      const hosts = [...sources.hosts()];
      return nodeMetrics(hosts, series.ask(hosts));
    },
    contentType: registry.contentType,
    close: () => registry.clear(),
  };
}

/** Buckets 1, 2.5, 5 per power of ten from `first` to `last`, both included where they fall on a step. */
function steps(first: number, last: number): number[] {
  const found: number[] = [];
  for (let power = Math.round(Math.log10(first)); power < 3; power++) {
    for (const step of [1, 2.5, 5]) {
      const bucket = Number(`${step}e${power}`);
      if (bucket >= first && bucket <= last) found.push(bucket);
    }
  }
  return found;
}
