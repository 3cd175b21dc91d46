/** Makes this process one replica among others: known to them, with its share of the connections, and out of the way when it stops. */

import { hostname } from 'node:os';
import type { Config } from '../config.ts';
import type { Hub } from '../hub/hub.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../ops/log.ts';
import type { Metrics } from '../ops/metrics.ts';
import { Moves } from '../relay/moves.ts';
import type { RedisLink } from '../relay/redisLink.ts';
import { MemoryReplicas, RedisReplicas, type ReplicaRow } from '../relay/replicaRows.ts';
import { Drain } from './drain.ts';
import { Kubernetes, type KubernetesTimes, type PodsView } from './kubernetes.ts';
import type { DrainView } from './pace.ts';
import { Rebalance } from './rebalance.ts';
import { Replicas, totalOf } from './replicas.ts';
import { refusalChance, type FleetView, type ShareVerdict } from './share.ts';

export interface ClusterParts {
  config: Pick<Config, 'kubernetes' | 'shutdownGraceMs'>;
  log: Log;
  metrics: Metrics;
  clock: Clock;
  version: string;
  /** The id of this process. */
  replica: string;
  /** Undefined: there is no other replica. */
  link: RedisLink | undefined;
  hub: Pick<Hub, 'clients' | 'connections' | 'followed'>;
  /** It is about to stop: load balancers should send nobody any more. */
  leaving(): void;
  kubernetesTimes?: KubernetesTimes;
}

export class Cluster {
  readonly #parts: ClusterParts;
  readonly #replicas: Replicas;
  readonly #rebalance: Rebalance | undefined;
  readonly #drain: Drain;
  readonly #kubernetes: Kubernetes | undefined;
  /** Telling everybody that this replica stops. */
  #telling: Promise<void> | undefined;

  constructor(parts: ClusterParts) {
    this.#parts = parts;
    const { config, log, metrics, clock, link, hub } = parts;
    this.#replicas = new Replicas({
      store: link ? new RedisReplicas(link, () => metrics.dropped('replica_row')) : new MemoryReplicas(),
      self: {
        id: parts.replica,
        name: config.kubernetes?.pod ?? hostname(),
        node: config.kubernetes?.node ?? '',
        version: parts.version,
      },
      clock,
      counts: () => ({ connections: hub.connections, rooms: Array.from(hub.followed()).length }),
      messages: metrics.messages,
      failed: (error) => this.#failed(error, 'exchanging rows with the other replicas'),
      vanished: (row) => this.#vanished(row),
    });
    const place = config.kubernetes;
    // Alone in its process there is nobody to share with, whatever Kubernetes says.
    this.#kubernetes =
      link &&
      place &&
      new Kubernetes({
        place,
        log,
        connections: () => totalOf(hub),
        // What is to be deleted stays so: no need to wait for SIGTERM.
        leaving: () => void this.drain(),
        times: parts.kubernetesTimes,
      });
    this.#drain = new Drain({
      graceMs: config.shutdownGraceMs,
      clients: () => hub.clients(),
      others: () => this.#othersAtStop(),
      log,
      incomplete: metrics.drainIncomplete,
      took: metrics.drainTook,
    });
    this.#rebalance =
      link &&
      new Rebalance({
        view: () => this.#view(),
        clients: () => hub.clients(),
        moves: new Moves(link),
        moved: metrics.moved,
        settled: (moved, verdict) => this.#settled(moved, verdict),
        failed: (error) => this.#failed(error, 'moving connections to other replicas'),
      });
  }

  start(): void {
    const { link, log } = this.#parts;
    const { budget } = this.#drain;
    if (link && budget.isShort)
      log.warn(
        budget,
        'SHUTDOWN_GRACE is too short for a stop that moves clients gently; set it to 30s or more. The parts of the stop are cut',
      );
    link?.onBack(() => void this.#replicas.tell());
    this.#replicas.start();
    this.#rebalance?.start();
    this.#kubernetes?.start();
  }

  /** This replica takes connections from now on. */
  ready(): void {
    this.#replicas.ready();
  }

  /** The id of this process. */
  get self(): string {
    return this.#parts.replica;
  }

  /** Asks Kubernetes for another number of replicas; throws AppError busy. Undefined where this hub may not. */
  get scale(): ((replicas: number) => Promise<void>) | undefined {
    const kubernetes = this.#kubernetes;
    return kubernetes && this.#parts.config.kubernetes?.mayScale ? (replicas) => kubernetes.scale(replicas) : undefined;
  }

  /** All replicas as they are now. */
  rows(): Promise<ReplicaRow[]> {
    return this.#replicas.read();
  }

  /** The pods that Kubernetes has made, ready or not, and is not about to delete; none where it cannot be asked. */
  get pods(): readonly { name: string; node: string }[] {
    return this.#kubernetes?.pods ?? [];
  }

  /** Whether a new connection should rather go to another replica; by chance, so that nobody is locked out. */
  prefersOthers(): boolean {
    if (this.#drain.isClosing) return true;
    if (!this.#rebalance) return false;
    const view = this.#view();
    // Where a replica has died all others take its clients at once: counted now, each would see the old rows of the rest as room.
    const own = Math.min(view.own, this.#replicas.steadyConnections);
    return Math.random() < refusalChance({ ...view, own });
  }

  /** Moves the clients to the other replicas, if there are any; resolves when this one may be closed. It may be called again. */
  async drain(): Promise<void> {
    await (this.#telling ??= this.#tellOfStop());
    await this.#drain.run();
  }

  async #tellOfStop(): Promise<void> {
    this.#parts.leaving();
    this.#rebalance?.close();
    await this.#replicas.draining();
    this.#kubernetes?.draining();
    const { survivors } = this.#othersAtStop();
    if (survivors > 0) this.#kubernetes?.tell('Draining', `${totalOf(this.#parts.hub)} connections go to ${survivors} other replicas`);
  }

  async close(): Promise<void> {
    this.#rebalance?.close();
    this.#kubernetes?.close();
    await this.#replicas.close();
  }

  #view(): FleetView {
    const { others } = this.#replicas;
    const pods = this.#kubernetes?.view;
    // Those that get new connections: by their own word, and by that of Kubernetes where it is to be had.
    const takers = others.filter((row) => row.ready && !row.draining && (!isKnown(pods) || pods.ready.has(row.name)));
    return {
      own: totalOf(this.#parts.hub),
      others: takers.map((row) => ({ connections: totalOf(row), ageMs: this.#replicas.ageMs(row) })),
      // Old news name no replicas at all, which fits no number of rows.
      expected: pods === 'unsure' ? 0 : pods?.ready.size,
      unchangedMs: Math.min(this.#replicas.unchangedMs, isKnown(pods) ? pods.unchangedMs : Infinity),
      readyMs: this.#replicas.readyForMs,
      versions: Math.max(isKnown(pods) ? pods.versions : 1, new Set([this.#parts.version, ...takers.map(({ version }) => version)]).size),
      isAnyDraining: others.some(({ draining }) => draining),
    };
  }

  #othersAtStop(): DrainView {
    // By their own word alone: it is there within milliseconds, and an API server that is wrong must not make this a stop without others.
    const { others } = this.#replicas;
    const draining = others.filter((row) => row.draining).reduce((sum, row) => sum + totalOf(row), 0);
    return { draining, survivors: others.filter((row) => row.ready && !row.draining).length };
  }

  #settled(moved: number, verdict: ShareVerdict): void {
    if (moved === 0) return;
    const replicas = this.#replicas.others.length + 1;
    this.#parts.log.info({ moved, replicas, ...verdict }, 'connections were moved to replicas with more room');
    this.#kubernetes?.tell('Rebalanced', `${moved} connections moved to others of ${replicas} replicas`);
  }

  #vanished(row: ReplicaRow): void {
    this.#parts.metrics.drainIncomplete();
    this.#parts.log.warn({ replica: row.id, name: row.name, connections: totalOf(row) }, 'a replica ended before its clients had moved');
  }

  #failed(error: unknown, what: string): void {
    // That Redis is away is told once, by its link.
    if (this.#parts.link?.isAway) return;
    this.#parts.metrics.error('cluster');
    this.#parts.log.warn({ err: error, what }, 'a task of the cluster failed');
  }
}

const isKnown = (pods: PodsView | 'unsure' | undefined): pods is PodsView => pods !== undefined && pods !== 'unsure';
