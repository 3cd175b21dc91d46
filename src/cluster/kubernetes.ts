/** What Kubernetes knows of this hub and is told by it; without an answer of its API server everything else goes on. */

import { setTimeout as wait } from 'node:timers/promises';
import { AppError } from '../errors.ts';
import type { KubernetesPlace } from '../lib/kubernetesPlace.ts';
import { newId } from '../lib/id.ts';
import { ApiFault, ApiServer, refusals } from './apiServer.ts';
import { DeletionCost } from './deletionCost.ts';
import { readPod, readSlice, readyPods, selectorOf, type Endpoint, type Pod } from './pods.ts';
import { Reflector, type ReflectorOptions } from './reflector.ts';

export interface KubernetesParts {
  place: KubernetesPlace;
  log: { info(details: object, message: string): void; warn(details: object, message: string): void };
  /** Connections of this replica. */
  connections(): number;
  /** This pod is to be deleted: told once, before SIGTERM where something is done in between (a preStop hook). */
  leaving(): void;
  times?: KubernetesTimes;
}

export interface KubernetesTimes extends NonNullable<ReflectorOptions<unknown>['times']> {
  /** Between two changes of this pod's deletion cost. */
  costEveryMs?: number;
}

/** The replicas that get new connections, by the API server. */
export interface PodsView {
  /** Names of their pods. */
  ready: ReadonlySet<string>;
  /** Templates among them: two during a rollout. */
  versions: number;
  /** Since they are these. */
  unchangedMs: number;
}

const manager = 'hostroom';
const retryMostMs = 30_000;
const unsureMs = 600_000;

export class Kubernetes {
  readonly #parts: KubernetesParts;
  readonly #closed = new AbortController();
  readonly #cost: DeletionCost;
  readonly #costEveryMs: number;
  #server: ApiServer | undefined;
  #own: Pod | undefined;
  #pods: Reflector<Pod> | undefined;
  #slices: Reflector<Endpoint[]> | undefined;
  #isLeaving = false;
  #isTroubled = false;
  #lostMs = -Infinity;
  #isOff = false;
  /** `performance.now()` when everything was known last. */
  #syncedMs = -Infinity;
  #ready = '';
  #changedMs = performance.now();
  #mayTell = true;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: KubernetesParts) {
    this.#parts = parts;
    const { place, connections, log, times } = parts;
    this.#costEveryMs = times?.costEveryMs ?? 60_000;
    this.#cost = new DeletionCost({ pod: place.pod, everyMs: this.#costEveryMs, connections, log });
  }

  start(): void {
    this.#timer = setInterval(() => this.#tick(), Math.min(5_000, this.#costEveryMs)).unref();
    void this.#keepRunning();
  }

  /** Undefined where Kubernetes is not to be had; `unsure` for ten minutes after it was and does not answer any more. */
  get view(): PodsView | 'unsure' | undefined {
    if (!this.#isSynced) return !this.#isOff && performance.now() - this.#syncedMs < unsureMs ? 'unsure' : undefined;
    this.#syncedMs = performance.now();
    const ready = this.#readyPods();
    return {
      ready: new Set(ready.map(({ name }) => name)),
      versions: new Set(ready.map(({ template }) => template)).size,
      unchangedMs: performance.now() - this.#changedMs,
    };
  }

  /** The pods of this Deployment that are not on their way out, whether they are ready or not; none where Kubernetes is not to be had. */
  get pods(): Pod[] {
    return this.#isSynced ? this.#ownPods().filter(({ terminating }) => !terminating) : [];
  }

  /** Shown by `kubectl describe pod` and `kubectl events`. Never throws, never waits. */
  tell(reason: string, note: string): void {
    const { place, log } = this.#parts;
    const server = this.#server;
    if (!server || !this.#mayTell) return;
    const body = {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name: `${place.pod}.${newId()}`.slice(-253), namespace: server.namespace },
      eventTime: new Date().toISOString().replace('Z', '000Z'),
      type: 'Normal',
      reason,
      action: reason,
      note,
      reportingController: manager,
      reportingInstance: place.pod,
      regarding: { apiVersion: 'v1', kind: 'Pod', name: place.pod, namespace: server.namespace },
    };
    server.call({ method: 'POST', path: `/apis/events.k8s.io/v1/namespaces/${server.namespace}/events`, body }).catch((error: unknown) => {
      if (!(error instanceof ApiFault && refusals.includes(error.status))) return;
      this.#mayTell = false;
      log.info({ reason: error.message }, 'this hub may not write Kubernetes Events');
    });
  }

  /** The pod costs nothing any more: it is going. */
  draining(): void {
    if (this.#server) void this.#cost.takeBack(this.#server);
  }

  /** Asks for another number of replicas. Throws AppError busy. */
  async scale(replicas: number): Promise<void> {
    const deployment = this.#own?.deployment;
    if (!this.#server || deployment === undefined) throw new AppError('busy', 'The API server of Kubernetes does not answer.');
    const path = `/apis/apps/v1/namespaces/${this.#server.namespace}/deployments/${deployment}/scale`;
    try {
      await this.#server.call({ method: 'PATCH', path, body: { spec: { replicas } }, contentType: 'application/merge-patch+json' });
    } catch (error) {
      throw new AppError('busy', `Kubernetes did not take it: ${(error as Error).message}`, { cause: error });
    }
  }

  close(): void {
    clearInterval(this.#timer);
    this.#closed.abort();
    this.#pods?.close();
    this.#slices?.close();
  }

  get #backoffMostMs(): number {
    return this.#parts.times?.backoffMostMs ?? retryMostMs;
  }

  get #isSynced(): boolean {
    return this.#pods?.isSynced === true && this.#slices?.isSynced === true;
  }

  /** Who refuses is asked again now and then: rights may be given later. */
  async #keepRunning(): Promise<void> {
    while (!this.#closed.signal.aborted) {
      // oxlint-disable-next-line no-await-in-loop -- one run after the other
      await this.#run().catch((error: unknown) => this.#turnOff(error));
      // oxlint-disable-next-line no-await-in-loop -- a wait between two tries
      await this.#pause((0.75 + Math.random() / 4) * this.#backoffMostMs);
    }
  }

  #pause(ms: number): Promise<void> {
    return wait(ms, undefined, { signal: this.#closed.signal, ref: false }).catch(() => undefined);
  }

  /** Rejects when the server refuses, or cannot be asked at all. */
  async #run(): Promise<void> {
    const { place, times } = this.#parts;
    const server = await ApiServer.open(place);
    this.#server = server;
    const own = await this.#findOwn(server);
    if (!own) return;
    if (own.deployment === undefined) throw new ApiFault('this pod belongs to no Deployment');
    this.#own = own;
    const shared = { server, times, changed: () => this.#changed(), lost: (fault: ApiFault) => this.#lost(fault) };
    const path = `/api/v1/namespaces/${server.namespace}/pods`;
    this.#pods = new Reflector({
      ...shared,
      path,
      labelSelector: selectorOf(own),
      read: readPod,
      doubt: (pods) => (pods.has(own.name) ? undefined : 'this pod is not in the list'),
    });
    const slices = `/apis/discovery.k8s.io/v1/namespaces/${server.namespace}/endpointslices`;
    this.#slices = new Reflector({
      ...shared,
      path: slices,
      read: readSlice,
      doubt: (all) => (isListed(all, own.name) ? undefined : 'this pod is behind no Service'),
    });
    await Promise.all([this.#pods.run(), this.#slices.run()]);
  }

  /** Asks until there is an answer, or this is closed. */
  async #findOwn(server: ApiServer): Promise<Pod | undefined> {
    const path = `/api/v1/namespaces/${server.namespace}/pods/${encodeURIComponent(this.#parts.place.pod)}`;
    const leastMs = this.#parts.times?.backoffLeastMs ?? 4_000;
    for (let tries = 0; !this.#closed.signal.aborted; tries++) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- until one answer is good
        const pod = readPod(await server.call({ method: 'GET', path }));
        if (pod) return pod;
        this.#lost(new ApiFault(`${path}: the answer is no pod`));
      } catch (error) {
        if (!(error instanceof ApiFault) || refusals.includes(error.status)) throw error;
        this.#lost(error);
      }
      const mostMs = Math.min(this.#backoffMostMs, leastMs * 2 ** Math.min(tries, 10));
      // oxlint-disable-next-line no-await-in-loop -- a wait between two tries
      await wait(Math.max(leastMs / 2, Math.random() * mostMs), undefined, { signal: this.#closed.signal, ref: false }).catch(
        () => undefined,
      );
    }
    return undefined;
  }

  #ownPods(): Pod[] {
    const deployment = this.#own?.deployment;
    return deployment === undefined ? [] : Array.from(this.#pods?.items.values() ?? []).filter((pod) => pod.deployment === deployment);
  }

  #readyPods(): Pod[] {
    return readyPods(this.#ownPods(), this.#slices?.items.values() ?? []);
  }

  #changed(): void {
    this.#noticeLeaving();
    if (!this.#isSynced) return;
    this.#syncedMs = performance.now();
    this.#isOff = false;
    const ready = this.#readyPods()
      .map(({ name }) => name)
      .toSorted()
      .join();
    if (ready === this.#ready) return;
    this.#ready = ready;
    this.#changedMs = performance.now();
  }

  #noticeLeaving(): void {
    if (this.#isLeaving || this.#pods?.items.get(this.#parts.place.pod)?.terminating !== true) return;
    this.#isLeaving = true;
    this.#parts.log.info({}, 'this pod is to be deleted');
    this.#parts.leaving();
  }

  /** Told once, and again only after all was well for a while: in some troubles every other answer is good. */
  #lost(fault: ApiFault): void {
    if (!this.#isTroubled) this.#parts.log.warn({ reason: fault.message }, 'the API server of Kubernetes does not answer as it should');
    this.#isTroubled = true;
    this.#lostMs = performance.now();
  }

  #noticeCalm(): void {
    if (!this.#isTroubled || !this.#isSynced || performance.now() - this.#lostMs < 2 * this.#backoffMostMs) return;
    this.#isTroubled = false;
    this.#parts.log.info({}, 'the API server of Kubernetes answers again');
  }

  #turnOff(error: unknown): void {
    this.#pods?.close();
    this.#slices?.close();
    this.#pods = undefined;
    this.#slices = undefined;
    this.#lostMs = performance.now();
    if (this.#closed.signal.aborted || this.#isOff) return;
    this.#isOff = true;
    if (this.#isTroubled) return;
    this.#isTroubled = true;
    const reason = error instanceof Error ? error.message : String(error);
    this.#parts.log.warn({ reason }, 'Kubernetes says nothing of the replicas: it refuses. They know each other by Redis alone');
  }

  #tick(): void {
    this.#noticeCalm();
    if (this.#server && this.#own && !this.#isOff) void this.#cost.keep(this.#server);
  }
}

const isListed = (slices: ReadonlyMap<string, readonly Endpoint[]>, name: string): boolean =>
  slices.values().some((slice) => slice.some(({ pod }) => pod === name));
