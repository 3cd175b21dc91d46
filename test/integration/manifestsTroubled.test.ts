/** The manifests where something is wrong around them: Prometheus is lost, a second hub comes into the namespace. */

import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { filledIn, render, type Manifest } from '../support/deployments/manifests.ts';
import { isWorkload, missingBeside, missingIn, named, type Workload } from '../support/deployments/references.ts';
import { faultsOf } from '../support/deployments/schema.ts';
import { needs } from '../support/needs.ts';

interface Selecting {
  selector?: { matchLabels?: Record<string, string> } & Record<string, string>;
  podSelector?: { matchLabels?: Record<string, string> };
  egress?: unknown;
}

/** Labels by which the pods of a hub are chosen. */
const isHub = (labels: unknown): labels is Record<string, string> =>
  (labels as Record<string, unknown> | undefined)?.['app.kubernetes.io/component'] === 'hub';

needs('kubectl').describe('a cluster that is not as it should be', () => {
  const copy = filledIn((close) => afterAll(close));
  const overlays = ['overlays/dev', 'overlays/staging', 'overlays/production'];
  const rendered = new Map(overlays.map((overlay) => [overlay, render(copy, overlay)]));

  test.each([...rendered])('%s does not scale in when Prometheus is lost', (_, objects) => {
    const scaler = objects.find(({ kind }) => kind === 'HorizontalPodAutoscaler' || kind === 'ScaledObject');
    if (!scaler) return;
    const text = JSON.stringify(scaler);
    expect(text).not.toContain('"cpu"');
    const spec = scaler['spec'] as {
      minReplicaCount?: number;
      minReplicas?: number;
      fallback?: { replicas: number; behavior: string };
      triggers?: { metadata: Record<string, string> }[];
      metrics?: { type: string }[];
    };
    // A HorizontalPodAutoscaler changes nothing while the metrics of its pods are missing; KEDA takes missing ones for none unless told otherwise.
    if (spec.metrics) expect(spec.metrics.map(({ type }) => type)).toEqual(['Pods']);
    for (const { metadata } of spec.triggers ?? []) expect(metadata['ignoreNullValues']).toBe('false');
    if (spec.triggers) expect(spec.fallback).toMatchObject({ behavior: 'currentReplicasIfHigher' });
    expect(spec.fallback?.replicas ?? 2).toBeGreaterThanOrEqual(spec.minReplicaCount ?? spec.minReplicas ?? 2);
    expect(text).toContain('"stabilizationWindowSeconds":600');
  });

  /** Another hub for the namespace of an overlay, as docs/operations.md says. */
  const renderSecond = (overlay: string): Manifest[] => {
    mkdirSync(join(copy, `${overlay}-b`), { recursive: true });
    const text = `resources: [../../${overlay}]
nameSuffix: -b
labels: [{ pairs: { app.kubernetes.io/instance: b }, includeSelectors: true }]
`;
    writeFileSync(join(copy, `${overlay}-b`, 'kustomization.yaml'), text);
    return render(copy, `${overlay}-b`);
  };

  test.each(overlays)('a second hub beside %s names only what is its own', (overlay) => {
    const objects = renderSecond(overlay);
    expect(objects.filter(({ kind }) => kind === 'Deployment').map(({ metadata }) => metadata.name)).toContain('hostroom-b');
    const missing = objects.flatMap((object) => [...(isWorkload(object) ? missingIn(objects, object) : missingBeside(objects, object))]);
    expect(missing).toEqual([]);
  });

  test('a second hub in the namespace has nothing of the first', () => {
    const [first, second] = [rendered.get('overlays/production') ?? [], renderSecond('overlays/production')];
    const hub = named(second, 'Deployment', 'hostroom-b') as Workload;
    const selectors = (objects: readonly Manifest[]): Map<string, Record<string, string>> =>
      new Map(
        objects.flatMap(({ kind, metadata, spec }): [string, Record<string, string>][] => {
          const { selector, podSelector } = (spec ?? {}) as Selecting;
          const labels = selector?.matchLabels ?? podSelector?.matchLabels ?? selector;
          return isHub(labels) ? [[`${kind} ${metadata.name}`, labels]] : [];
        }),
      );
    const chosen = (labels: Readonly<Record<string, string>>, pod: Workload): boolean =>
      Object.entries(labels).every(([name, value]) => pod.spec.template.metadata.labels[name] === value);
    const [before, after] = [selectors(first), selectors(second)];
    expect([...before.keys()].map((name) => `${name}-b`)).toEqual([...after.keys()]);
    expect(before.size).toBeGreaterThanOrEqual(5);
    for (const labels of before.values()) expect(chosen(labels, hub)).toBe(false);
    for (const labels of after.values()) expect(chosen(labels, hub)).toBe(true);
    expect(hub.spec.template.spec.serviceAccountName).toBe('hostroom-b');
    // What is not the hub's is chosen as before.
    const out = (objects: readonly Manifest[], name: string): unknown =>
      (named(objects, 'NetworkPolicy', name)?.['spec'] as Selecting | undefined)?.egress;
    expect(out(first, 'hub')).toBeDefined();
    expect(out(second, 'hub-b')).toEqual(out(first, 'hub'));
    expect(second.flatMap(faultsOf)).toEqual([]);
  });

  needs('promtool').test(
    'KEDA asks for as many replicas as before while some cannot be scraped, and for none of its own when all cannot',
    () => {
      const { spec } = named(rendered.get('overlays/staging') ?? [], 'ScaledObject', 'hostroom') as Manifest;
      const { triggers } = spec as { triggers: { name: string; metadata: { query: string } }[] };
      const query = triggers.find(({ name }) => name === 'connections')!.metadata.query;
      const of = (pod: string, more = ''): string =>
        `{namespace="hostroom-staging",service="hostroom-pods",job="hostroom",endpoint="ops",pod="${pod}"${more}}`;
      const series = (name: string, values: string): object => ({ series: name, values });
      const expected = (at: string, value?: number): object => ({
        expr: query,
        eval_time: at,
        exp_samples: value === undefined ? [] : [{ labels: '{}', value }],
      });
      const tests = {
        interval: '15s',
        input_series: [
          series(`up${of('a')}`, '1x20 1x20 0x40'),
          series(`up${of('b')}`, '1x20 0x20 0x40'),
          series(`hostroom_connections${of('a', ',kind="user"')}`, '4000x40 stale'),
          series(`hostroom_connections${of('b', ',kind="agent"')}`, '4000x20 stale'),
          series('hostroom_connections{namespace="hostroom-staging",service="hostroom-pods-b",kind="user"}', '9000x80'),
        ],
        promql_expr_test: [expected('4m', 8_000), expected('8m', 8_000), expected('15m')],
      };
      const file = join(copy, 'keda.tests.yaml');
      writeFileSync(file, JSON.stringify({ rule_files: [], evaluation_interval: '15s', tests: [tests] }));
      const done = spawnSync('promtool', ['test', 'rules', file], { encoding: 'utf8' });
      expect(done.status, done.stdout + done.stderr).toBe(0);
    },
  );
});
