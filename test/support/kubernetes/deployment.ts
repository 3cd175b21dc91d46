/** A Deployment whose pods are real hub processes: scaled and rolled as its controllers would, stopped as a kubelet does. */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../../../src/lib/freePort.ts';
import { run, type Ended, type Hostroom } from '../hostroom.ts';
import type { FakeApi } from './apiServer.ts';
import { deploymentObject, podObject, sliceObject, type PodState } from './podObjects.ts';
import type { KubeObject } from './store.ts';

export interface DeploymentOptions {
  api: FakeApi;
  name: string;
  replicas: number;
  /** From the deletion to SIGKILL. */
  graceMs: number;
  /** For what the pods keep. */
  folder: string;
  /** The checkout that the pods run from, in place of this one. */
  root?: string | undefined;
  environment(pod: string): Record<string, string>;
  /** The pods that get new connections are others now. */
  endpoints(ports: number[]): void;
}

export interface RunningPod extends PodState {
  hub: Hostroom;
  port: number;
  createdMs: number;
  /** Its deletion was asked for. */
  stoppedMs?: number;
  ended?: Ended;
}

export interface Deployment {
  /** Those that run, the oldest first. */
  pods(): RunningPod[];
  /** Those that ended, in order. */
  gone: RunningPod[];
  /** The template is another one from now on: a rolling update, one more than wanted at most, none less. From this checkout, or another. */
  rollout(environment?: Readonly<Record<string, string>>, root?: string): void;
  setGrace(graceMs: number): void;
  /** From the deletion to SIGTERM, as of a preStop hook. */
  setPreStop(preStopMs: number): void;
  /** SIGKILL to all, no further steps. */
  close(): Promise<void>;
}

const costAnnotation = 'controller.kubernetes.io/pod-deletion-cost';
const stepMs = 150;

export function startDeployment(options: DeploymentOptions): Deployment {
  const { api, name, folder } = options;
  const pods: RunningPod[] = [];
  const gone: RunningPod[] = [];
  let { graceMs, root } = options;
  let preStopMs = 0;
  let template = 'aaaa1';
  let extra: Readonly<Record<string, string>> = {};
  let pointed = '';
  let count = 0;
  let isClosed = false;
  api.store.put('deployments', deploymentObject(name, options.replicas));

  const publish = (): void => {
    for (const pod of pods) api.store.put('pods', podObject({ ...pod, annotations: annotationsOf(api, pod) }));
    api.store.put('endpointslices', sliceObject(name, pods));
    const ports = pods.filter(({ ready, terminating }) => ready && !terminating).map(({ port }) => port);
    const changed = ports.join();
    if (changed !== pointed && ports.length > 0) options.endpoints(ports);
    pointed = changed;
  };

  const create = async (): Promise<void> => {
    const podName = `${name}-${template}-${(count += 1)}`;
    const port = await freePort('127.0.0.1');
    const state: PodState = { name: podName, deployment: name, template, ready: false, terminating: false };
    const dataDir = join(folder, podName);
    mkdirSync(dataDir, { recursive: true });
    const ports = { PORT: String(port), OPS_PORT: String(await freePort('127.0.0.1')) };
    const hub = await run(dataDir, { root, environment: { ...options.environment(podName), ...extra, ...ports } });
    const pod: RunningPod = { ...state, hub, port, createdMs: performance.now() };
    pods.push(pod);
    void hub.ended.then((ended) => {
      pod.ended = ended;
      pods.splice(pods.indexOf(pod), 1);
      gone.push(pod);
      api.store.remove('pods', pod.name);
      publish();
    });
  };

  const stop = (pod: RunningPod): void => {
    pod.terminating = true;
    pod.stoppedMs = performance.now();
    publish();
    const asked = setTimeout(() => pod.hub.signal('SIGTERM'), preStopMs);
    const late = setTimeout(() => pod.hub.signal('SIGKILL'), graceMs);
    void pod.hub.ended.then(() => {
      clearTimeout(asked);
      clearTimeout(late);
    });
  };

  /** One turn of Deployment and ReplicaSet. */
  const step = async (): Promise<void> => {
    await Promise.all(pods.map(async (pod) => void (pod.ready = await isReady(pod.hub.opsUrl))));
    publish();
    const { replicas } = api.store.get('deployments', name)!['spec'] as { replicas: number };
    const living = pods.filter(({ terminating }) => !terminating);
    const fresh = living.filter((pod) => pod.template === template);
    const old = living.filter((pod) => pod.template !== template);
    const most = old.length > 0 ? replicas + 1 : replicas;
    if (living.length < most && fresh.length < replicas) return create();
    if (living.length > most) return stop(victims(api, old.length > 0 ? old : fresh)[0]!);
    const ready = living.filter((pod) => pod.ready).length;
    if (old.length > 0 && (ready > replicas || fresh.filter((pod) => pod.ready).length >= replicas)) stop(victims(api, old)[0]!);
  };
  let turning = Promise.resolve();
  const timer = setInterval(() => {
    if (isClosed) return;
    turning = turning.then(() => (isClosed ? undefined : step()));
  }, stepMs);

  return {
    pods: () => [...pods],
    gone,
    rollout(environment = {}, from) {
      template = `bbbb${count}`;
      root = from;
      extra = environment;
    },
    setGrace: (ms) => void (graceMs = ms),
    setPreStop: (ms) => void (preStopMs = ms),
    async close() {
      isClosed = true;
      clearInterval(timer);
      await turning;
      const all = [...pods];
      for (const pod of all) pod.hub.signal('SIGKILL');
      await Promise.all(all.map(({ hub }) => hub.ended));
    },
  };
}

/** The order in which a ReplicaSet deletes: not ready, cheapest, newest. */
function victims(api: FakeApi, pods: readonly RunningPod[]): RunningPod[] {
  const cost = (pod: RunningPod): number => Number(annotationsOf(api, pod)?.[costAnnotation] ?? 0);
  return pods.toSorted((a, b) => Number(a.ready) - Number(b.ready) || cost(a) - cost(b) || b.createdMs - a.createdMs);
}

const annotationsOf = (api: FakeApi, { name }: PodState): KubeObject['metadata']['annotations'] =>
  api.store.get('pods', name)?.metadata.annotations;

async function isReady(opsUrl: string): Promise<boolean> {
  try {
    return (await fetch(`${opsUrl}/readyz`, { signal: AbortSignal.timeout(1_000) })).ok;
  } catch {
    // It does not listen yet, or any more.
    return false;
  }
}
