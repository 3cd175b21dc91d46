/** The rig of the fault tests on a small Kubernetes: pods behind nginx, driven by the real kubectl. */

import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '../../../src/lib/freePort.ts';
import { startBalancer } from '../../../src/local/balancer.ts';
import { startRig, type Rig } from '../faults/rig.ts';
import type { Hostroom } from '../hostroom.ts';
import { startRedis } from '../redis.ts';
import { findTool } from '../tools.ts';
import { until } from '../until.ts';
import { startFakeApi, type FakeApi } from './apiServer.ts';
import { startDeployment, type Deployment } from './deployment.ts';
import { deploymentObject } from './podObjects.ts';

type WhenDone = (close: () => Promise<void> | void) => void;

export interface KubernetesRig {
  rig: Rig;
  api: FakeApi;
  deployment: Deployment;
  /** `kubectl scale deployment hostroom --replicas=N` */
  scale(replicas: number): Promise<void>;
  /** So many pods are ready and none is on its way. */
  untilReady(replicas: number, withinMs?: number): Promise<void>;
  /** One number of each pod's own metrics by its name, all labels added up; 0 where it has just ended. */
  metrics(name: string): Promise<Map<string, number>>;
  connections(): Promise<Map<string, number>>;
}

export interface KubernetesRigOptions {
  replicas?: number;
  graceMs?: number;
  /** Of PostgreSQL; each replica takes up to 11. */
  maxConnections?: number;
  environment?: Readonly<Record<string, string>>;
  /** The checkout that the pods run from at first, in place of this one. */
  root?: string;
  /** Of all pods but the first, in addition. */
  laterEnvironment?: Readonly<Record<string, string>>;
}

const root = resolve(import.meta.dirname, '../../..');
const deploymentName = 'hostroom';

export async function startKubernetesRig(whenDone: WhenDone, options: KubernetesRigOptions = {}): Promise<KubernetesRig> {
  const { replicas = 1, graceMs = 60_000 } = options;
  const api = await startFakeApi();
  whenDone(() => api.close());
  const redis = await startRedis(whenDone);
  const port = await freePort('127.0.0.1');
  let deployment: Deployment | undefined;
  const untilReady = (count: number, withinMs = 60_000): Promise<boolean> =>
    until(() => isCount(deployment, count), `${count} pods are ready`, withinMs);

  const start = async (folder: string, environment: Readonly<Record<string, string>>): Promise<Hostroom> => {
    const kubeconfig = join(folder, 'kubeconfig');
    writeFileSync(kubeconfig, api.kubeconfig);
    const balancer = startBalancer({
      nginx: findTool('nginx')!,
      folder: join(folder, 'nginx'),
      root,
      host: '127.0.0.1',
      port,
      ports: [1],
      output: () => undefined,
      onStart: () => undefined,
    });
    const running = startDeployment({
      api,
      name: deploymentName,
      replicas: 1,
      graceMs,
      folder,
      root: options.root,
      endpoints: (ports) => balancer.point(ports),
      environment: (pod) => ({
        ...environment,
        REDIS_URL: redis.url,
        PUBLIC_URL: `http://localhost:${port}`,
        ALLOWED_ORIGINS: `http://localhost:${port},http://127.0.0.1:${port}`,
        TRUSTED_PROXIES: '127.0.0.1',
        KUBERNETES_SERVICE_HOST: '127.0.0.1',
        KUBECONFIG: kubeconfig,
        POD_NAME: pod,
        POD_NAMESPACE: 'default',
        SHUTDOWN_GRACE: '55s',
        ...options.environment,
        ...(pod.endsWith('-1') ? {} : options.laterEnvironment),
      }),
    });
    deployment = running;
    whenDone(async () => {
      await running.close();
      await balancer.close();
    });
    await untilReady(1);
    const first = running.pods()[0]!.hub;
    const url = `http://127.0.0.1:${port}`;
    await until(async () => (await fetch(`${url}/api/v1/time`).catch(() => undefined))?.ok, 'nginx answers');
    const { promise: ended, resolve: end } = Promise.withResolvers<{ code: number | null; signal: null }>();
    // What the rig sees as one hub is the whole cluster.
    return { ...first, url, ended, signal: () => void running.close().then(() => end({ code: 0, signal: null })) };
  };
  const rig = await startRig(whenDone, { start, postgresSettings: { max_connections: String(options.maxConnections ?? 60) } });
  // Only now: each replica that starts before there is an admin makes a sign-in link, which ends the one before.
  api.store.put('deployments', deploymentObject(deploymentName, replicas));
  await untilReady(replicas);
  const metrics = async (name: string): Promise<Map<string, number>> => {
    const read = deployment!.pods().map(async (pod): Promise<[string, number]> => [pod.name, await readMetric(pod.hub.opsUrl, name)]);
    return new Map(await Promise.all(read));
  };
  const cache = join(rig.folder, 'kubectl');
  mkdirSync(cache);
  return {
    rig,
    api,
    deployment: deployment!,
    async scale(count) {
      const args = ['--kubeconfig', join(rig.folder, 'kubeconfig'), '--cache-dir', cache, 'scale', 'deployment', deploymentName];
      await promisify(execFile)(findTool('kubectl')!, [...args, `--replicas=${count}`]);
    },
    untilReady: async (count, withinMs) => void (await untilReady(count, withinMs)),
    metrics,
    connections: () => metrics('hostroom_connections'),
  };
}

const isCount = (deployment: Deployment | undefined, count: number): boolean => {
  const pods = deployment?.pods() ?? [];
  return pods.length === count && pods.every(({ ready, terminating }) => ready && !terminating);
};

async function readMetric(opsUrl: string, name: string): Promise<number> {
  const text = await fetch(`${opsUrl}/metrics`).then(
    (answer) => answer.text(),
    () => '',
  );
  const lines = text.split('\n').filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}
