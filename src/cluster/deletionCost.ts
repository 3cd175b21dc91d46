/** Keeps the cost of this pod's deletion up to date: Kubernetes removes the cheapest first, which should be the emptiest. */

import { ApiFault, refusals, type ApiServer } from './apiServer.ts';

export interface DeletionCostParts {
  pod: string;
  /** Between two changes. */
  everyMs: number;
  /** Connections of this replica. */
  connections(): number;
  log: { info(details: object, message: string): void };
}

type Server = Pick<ApiServer, 'call' | 'namespace'>;

const annotation = 'controller.kubernetes.io/pod-deletion-cost';

export class DeletionCost {
  readonly #parts: DeletionCostParts;
  #cost: number | undefined;
  #writtenMs = -Infinity;
  #isOver = false;
  /** A change that is on its way. */
  #writing: Promise<void> | undefined;

  constructor(parts: DeletionCostParts) {
    this.#parts = parts;
  }

  /** On a change of the bucket, and seldom: each write goes to every watcher of pods. Never rejects. */
  async keep(server: Server): Promise<void> {
    const { connections, everyMs } = this.#parts;
    const cost = deletionCost(connections());
    const isSoon = performance.now() - this.#writtenMs < everyMs;
    if (this.#isOver || this.#writing || isSoon || cost === this.#cost) return;
    this.#writing = this.#write(server, cost).finally(() => (this.#writing = undefined));
    await this.#writing;
  }

  /** For a pod that goes. Never rejects. */
  async takeBack(server: Server): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    await this.#writing;
    if (this.#cost !== undefined) await this.#write(server, undefined);
  }

  /** By server-side apply without force, so that another owner of the annotation is not fought. */
  async #write(server: Server, cost: number | undefined): Promise<void> {
    const { pod, log } = this.#parts;
    this.#writtenMs = performance.now();
    const annotations = cost === undefined ? {} : { [annotation]: String(cost) };
    const path = `/api/v1/namespaces/${server.namespace}/pods/${encodeURIComponent(pod)}?fieldManager=hostroom`;
    const body = { apiVersion: 'v1', kind: 'Pod', metadata: { name: pod, annotations } };
    try {
      await server.call({ method: 'PATCH', path, body, contentType: 'application/apply-patch+yaml' });
      this.#cost = cost;
    } catch (error) {
      // Without an answer it is tried again later.
      if (!(error instanceof ApiFault) || (error.status !== 409 && !refusals.includes(error.status))) return;
      this.#isOver = true;
      log.info({ reason: error.message }, 'the deletion cost of this pod is left to others');
    }
  }
}

/**
 * `controller.kubernetes.io/pod-deletion-cost` of a pod: 0 without connections, else one more with each doubling, so that it changes
 * seldom.
 */
export const deletionCost = (connections: number): number => (connections < 1 ? 0 : Math.floor(Math.log2(connections)) + 1);
