/** What the hub learns from Kubernetes and tells it, and that no trouble of the API server (R26) becomes one of the hub. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { Kubernetes, type PodsView } from '../../src/cluster/kubernetes.ts';
import { readPod, readSlice, readyPods, selectorOf } from '../../src/cluster/pods.ts';
import { readKubernetesPlace } from '../../src/lib/kubernetesPlace.ts';
import { namespace, startFakeApi, type ApiTrouble, type FakeApi } from '../support/kubernetes/apiServer.ts';
import { deploymentObject, podObject, sliceObject, type PodState } from '../support/kubernetes/podObjects.ts';
import { until } from '../support/until.ts';

const pod = (name: string, over: Partial<PodState> = {}): PodState => ({
  name,
  deployment: 'hostroom',
  template: 'aaa',
  ready: true,
  terminating: false,
  ...over,
});

/** Puts these pods into the cluster, all of them behind the Service. */
function place(api: FakeApi, pods: readonly PodState[]): void {
  for (const { metadata } of api.store.list('pods'))
    if (!pods.some(({ name }) => name === metadata.name)) api.store.remove('pods', metadata.name);
  for (const each of pods) api.store.put('pods', podObject(each));
  api.store.put('endpointslices', sliceObject('hostroom', pods));
}

const times = {
  watchLeastMs: 900,
  watchMostMs: 1_000,
  stallMs: 200,
  relistMs: 60_000,
  backoffLeastMs: 40,
  backoffMostMs: 300,
  costEveryMs: 30,
};

/** Tests that run beside each other have to say themselves when they are done. */
type WhenDone = (close: () => Promise<void>) => void;

async function start(
  whenDone: WhenDone,
  over: { connections?: () => number; url?: string; forbid?: string } = {},
): Promise<{
  api: FakeApi;
  kubernetes: Kubernetes;
  lines: string[];
  /** Times it was told that its pod is to be deleted. */
  leaves: () => number;
  view: () => PodsView | undefined;
}> {
  const api = await startFakeApi();
  api.forbid(over.forbid);
  place(api, [pod('hub-a'), pod('hub-b')]);
  api.store.put('deployments', deploymentObject('hostroom', 2));
  const folder = mkdtempSync(join(tmpdir(), 'hostroom-kubernetes-'));
  const kubeconfig = join(folder, 'config');
  writeFileSync(kubeconfig, over.url === undefined ? api.kubeconfig : api.kubeconfig.replace(api.url, over.url));
  const lines: string[] = [];
  const log = { info: (_: object, line: string) => void lines.push(line), warn: (_: object, line: string) => void lines.push(line) };
  let leaves = 0;
  const kubernetes = new Kubernetes({
    place: { pod: 'hub-a', namespace: undefined, node: '', kubeconfig, mayScale: true },
    log,
    connections: over.connections ?? (() => 0),
    leaving: () => void leaves++,
    times,
  });
  kubernetes.start();
  whenDone(async () => {
    kubernetes.close();
    await api.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const view = (): PodsView | undefined => (typeof kubernetes.view === 'object' ? kubernetes.view : undefined);
  return { api, kubernetes, lines, leaves: () => leaves, view };
}

const names = (view: PodsView | undefined): string => [...(view?.ready ?? [])].toSorted().join(' ');

describe('pods', () => {
  test('get new connections when every Service that knows them says so', () => {
    const pods = [pod('a'), pod('b', { ready: false }), pod('c', { terminating: true }), pod('e'), pod('f', { template: 'bbb' })].map(
      (each) => readPod(podObject(each))!,
    );
    const main = readSlice(sliceObject('hostroom', pods.filter(({ name }) => name !== 'e') as unknown as PodState[]));
    const headless = main.map((endpoint) => ({ ...endpoint, ready: true }));
    expect(readyPods(pods, [main, headless]).map(({ name }) => name)).toEqual(['a', 'f']);
    expect(readyPods(pods, [headless, main.map((endpoint) => ({ ...endpoint, ready: endpoint.pod !== 'a' }))])).toMatchObject([
      { name: 'f' },
    ]);
    expect(selectorOf(pods[0]!)).toBe('app.kubernetes.io/instance=hostroom,app.kubernetes.io/name=hostroom');
  });

  test.each([undefined, null, 7, 'x', [], {}, { metadata: 7 }, { metadata: { name: 7 } }])('%j is none', (object) => {
    expect(readPod(object)).toBe(undefined);
    expect(readSlice(object)).toEqual([]);
  });

  test('one that belongs to no Deployment has none', () => {
    const object = podObject(pod('a'));
    expect(
      readPod({ ...object, metadata: { ...object.metadata, ownerReferences: [{ kind: 'ReplicaSet', name: 'other-x' }] } })?.deployment,
    ).toBe(undefined);
    expect(readPod({ metadata: { name: 'a', labels: { 'pod-template-hash': 3 }, ownerReferences: 'x' } })).toMatchObject({
      template: '',
      ready: false,
    });
  });

  test('the environment says whether this is one', () => {
    const faults: string[] = [];
    expect(readKubernetesPlace({ POD_NAME: 'a' }, faults)).toBe(undefined);
    expect(readKubernetesPlace({ KUBERNETES_SERVICE_HOST: '10.0.0.1', HOSTNAME: 'a', SCALE_CONTROL: 'on' }, faults)).toMatchObject({
      pod: 'a',
      mayScale: true,
    });
    expect(faults).toEqual([]);
    readKubernetesPlace({ SCALE_CONTROL: 'yes' }, faults);
    expect(faults).toHaveLength(1);
  });
});

test.concurrent('scaling, a rollout and a second Deployment are seen as they happen', async ({ onTestFinished }) => {
  const { api, view } = await start(onTestFinished);
  await until(() => names(view()) === 'hub-a hub-b', 'both pods are seen');
  const before = view()!.unchangedMs;
  await until(() => view()!.unchangedMs > before, 'nothing changes');
  const all = [pod('hub-a'), pod('hub-b'), pod('hub-c', { ready: false })];
  place(api, [...all, pod('other-a', { deployment: 'other' })]);
  api.bookmark();
  place(api, [...all.slice(0, 2), pod('hub-c', { template: 'bbb' }), pod('other-a', { deployment: 'other' })]);
  await until(() => names(view()) === 'hub-a hub-b hub-c', 'the new one is ready');
  expect(view()!.versions).toBe(2);
  place(api, [pod('hub-a', { terminating: true }), pod('hub-c', { template: 'bbb' })]);
  await until(() => names(view()) === 'hub-c', 'those that go are seen');
  expect(view()!.versions).toBe(1);
});

test.concurrent('that its own pod is to be deleted is told once, and not of others', async ({ onTestFinished }) => {
  const { api, kubernetes, view, leaves } = await start(onTestFinished);
  await until(() => names(view()) === 'hub-a hub-b', 'both pods are seen');
  place(api, [pod('hub-a'), pod('hub-b', { terminating: true }), pod('other-a', { deployment: 'other', terminating: true })]);
  await until(() => names(view()) === 'hub-a', 'the other one goes');
  expect(kubernetes.pods.map(({ name }) => name)).toEqual(['hub-a']);
  expect(leaves()).toBe(0);
  place(api, [pod('hub-a', { terminating: true })]);
  await until(() => leaves() > 0, 'it goes itself');
  place(api, [pod('hub-a', { terminating: true, ready: false })]);
  await until(() => view() && kubernetes.pods.length === 0, 'it is not counted any more');
  expect(leaves()).toBe(1);
});

test.concurrent.for([
  ['the endpoints', 'endpointslices'],
  ['pods', '/pods'],
  ['the deletion cost', 'PATCH'],
])('without the right to %s it goes on without what that gives, with one line', async ([, right], { onTestFinished }) => {
  const { api, kubernetes, lines, view } = await start(onTestFinished, { forbid: right });
  await until(() => lines.length === 1, 'it is told');
  await wait(500);
  expect(lines).toHaveLength(1);
  if (right === 'PATCH') expect(names(view())).toBe('hub-a hub-b');
  else expect(kubernetes.view).toBe(undefined);
  api.forbid(undefined);
  await until(() => names(view()) === 'hub-a hub-b', 'the right is given later');
});

const reads = (api: FakeApi): number => api.takeRequests().filter((request) => !request.startsWith('PATCH')).length;

const troubles: [string, ApiTrouble][] = [
  ['500 to everything', 500],
  ['429 to everything', 429],
  ['403 to everything', 403],
  ['410 to each watch', 'gone'],
  ['each watch ends at once', 'ends'],
  ['nothing is answered', 'hang'],
  ['watches hear nothing', 'silent'],
  ['lists are empty', 'empty'],
];

describe.concurrent('R26: the API server in trouble', () => {
  test.for(troubles)('%s, then everything is well again', { timeout: 60_000 }, async ([, trouble], { onTestFinished }) => {
    const { api, kubernetes, lines, view } = await start(onTestFinished);
    await until(() => names(view()) === 'hub-a hub-b', 'both pods are seen');
    api.takeRequests();
    api.trouble(trouble);
    const fromMs = performance.now();
    place(api, [pod('hub-a')]);
    await until(() => performance.now() - fromMs > 3_000, 'the trouble lasts a while');
    const requests = reads(api);
    // Two lists; for each at most a list and a watch between two waits, which begin at three quarters of the least.
    expect(requests).toBeLessThan(4 + (4 * (performance.now() - fromMs)) / (times.backoffLeastMs * 0.75));
    if (trouble === 500 || trouble === 429) expect(kubernetes.view).toBe('unsure');
    if (trouble === 403) expect(kubernetes.view).toBe(undefined);
    if (trouble === 'empty') expect(names(view())).not.toBe('hub-a');
    // Where lists are good and watches are deaf, it is well again after each list for a while. 403 is told of the cost too.
    expect(lines.length).toBeLessThanOrEqual(trouble === 'silent' || trouble === 'empty' ? 6 : 2);
    api.trouble(undefined);
    await until(() => names(view()) === 'hub-a', 'the change is seen', 35_000);
  });

  test('it waits longer and longer where nothing helps', async ({ onTestFinished }) => {
    const { api, view } = await start(onTestFinished);
    await until(() => view(), 'it is there');
    api.trouble(503);
    await wait(1_000);
    reads(api);
    await wait(2_000);
    // At the end a random time up to 300 ms, at least 30 ms.
    expect(reads(api)).toBeLessThan(60);
  });

  test('an address where nobody listens, a pod that is not there: one line each', async ({ onTestFinished }) => {
    const nobody = await start(onTestFinished, { url: 'http://127.0.0.1:1' });
    await until(() => nobody.lines.length > 0, 'it is told');
    const stranger = await start(onTestFinished);
    stranger.api.store.remove('pods', 'hub-a');
    await wait(500);
    expect(nobody.kubernetes.view).toBe(undefined);
    expect(nobody.lines).toHaveLength(1);
    expect(stranger.lines.length).toBeLessThanOrEqual(1);
  });
});

describe.concurrent('what the hub tells Kubernetes', () => {
  const cost = (api: FakeApi): string | undefined =>
    api.store.get('pods', 'hub-a')?.metadata.annotations?.['controller.kubernetes.io/pod-deletion-cost'];

  test('the cost of its deletion, when it doubles; nothing any more once it goes', async ({ onTestFinished }) => {
    let connections = 0;
    const { api, kubernetes } = await start(onTestFinished, { connections: () => connections });
    await until(() => cost(api) === '0', 'it costs nothing');
    connections = 100;
    await until(() => cost(api) === '7', 'it costs something');
    api.takeRequests();
    connections = 120;
    await wait(200);
    expect(api.takeRequests().filter((request) => request.startsWith('PATCH'))).toEqual([]);
    kubernetes.draining();
    await until(() => cost(api) === undefined, 'the cost is taken back');
  });

  test('no cost where somebody else sets it', async ({ onTestFinished }) => {
    let connections = 0;
    const started = await start(onTestFinished, { connections: () => connections });
    await until(() => cost(started.api) === '0', 'it costs nothing');
    started.api.own('hub-a', 'controller.kubernetes.io/pod-deletion-cost', 'karpenter');
    connections = 100;
    await until(() => started.lines.some((line) => line.includes('left to others')), 'it stands down');
    started.api.takeRequests();
    connections = 1_000;
    await wait(200);
    expect(started.api.takeRequests().filter((request) => request.startsWith('PATCH'))).toEqual([]);
    expect(cost(started.api)).toBe('0');
  });

  test('events, and another number of replicas', async ({ onTestFinished }) => {
    const { api, kubernetes, view, lines } = await start(onTestFinished);
    await expect(kubernetes.scale(3)).rejects.toMatchObject({ code: 'busy' });
    await until(() => view(), 'it is there');
    kubernetes.tell('Rebalanced', '412 connections moved');
    const [event] = await until(() => api.store.list('events').length > 0 && api.store.list('events'), 'the event is there');
    expect(event).toMatchObject({
      reason: 'Rebalanced',
      note: '412 connections moved',
      regarding: { kind: 'Pod', name: 'hub-a', namespace },
    });
    await kubernetes.scale(5);
    expect(api.store.get('deployments', 'hostroom')?.['spec']).toMatchObject({ replicas: 5 });
    api.trouble(403);
    kubernetes.tell('Rebalanced', 'again');
    await expect(kubernetes.scale(6)).rejects.toMatchObject({ code: 'busy' });
    await until(() => lines.some((line) => line.includes('may not write')), 'it is told once');
  });
});
