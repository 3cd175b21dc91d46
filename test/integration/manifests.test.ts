/** The Kubernetes manifests, without a cluster: they render, the API knows every field, what they name is there, and they fit image and programs. */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readConfig as readAgentConfig } from '../../agent/config.ts';
import { readConfig } from '../../src/config.ts';
import { environmentOf, lastOf, readDockerfile } from '../support/deployments/dockerfile.ts';
import { filledIn, folder, render, type Manifest } from '../support/deployments/manifests.ts';
import {
  environment,
  isWorkload,
  missingBeside,
  missingIn,
  named,
  type Container,
  type PodSpec,
  type Workload,
} from '../support/deployments/references.ts';
import { faultsOf } from '../support/deployments/schema.ts';
import { needs } from '../support/needs.ts';

const overlays = ['dev', 'staging', 'production'].flatMap((name) => [`overlays/${name}`, `overlays/${name}/agent`]);
const examples = ['components/nginx', 'components/ingress-haproxy'];
const images = readDockerfile();

const bytes = (text: string): number => {
  const [, number = '', unit = ''] = /^(\d+)(Ki|Mi|Gi)$/.exec(text) ?? [];
  return Number(number) * ({ Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30 }[unit] ?? Number.NaN);
};

/** The target of the Dockerfile that a container runs; undefined for foreign images. */
const targetOf = ({ image }: Container): string | undefined => /\/hostroom\/(hub|agent):[\w.-]+$/.exec(image)?.[1];

/** Production with another way in. */
function writeOverlay(copy: string, overlay: string, component: string): void {
  mkdirSync(join(copy, overlay));
  for (const name of ['hub.secret.env', 'migrate.secret.env'])
    writeFileSync(join(copy, overlay, name), readFileSync(join(copy, 'overlays/production', name)));
  const text = readFileSync(join(copy, 'overlays/production/kustomization.yaml'), 'utf8');
  writeFileSync(join(copy, overlay, 'kustomization.yaml'), text.replace('components/route-gateway', component));
}

needs('kubectl').describe('each overlay', () => {
  const copy = filledIn((close) => afterAll(close));
  const rendered = new Map(overlays.map((overlay) => [overlay, render(copy, overlay)]));
  // An example of a way in belongs to an overlay; production takes its turn with each.
  const withExample = (component: string): Manifest[] => {
    const overlay = `overlays/with-${component.replaceAll('/', '-')}`;
    writeOverlay(copy, overlay, component);
    return render(copy, overlay);
  };
  for (const component of examples) rendered.set(`overlays/production with ${component}`, withExample(component));
  const all = [...rendered].map(([overlay, objects]) => ({ overlay, objects }));

  test.each(all)('$overlay has only fields that the API knows, with all that are needed', ({ objects }) => {
    expect(objects.flatMap(faultsOf)).toEqual([]);
  });

  test.each(all)('$overlay names nothing that is not there', ({ objects }) => {
    const missing = objects.flatMap((object) => [...(isWorkload(object) ? missingIn(objects, object) : missingBeside(objects, object))]);
    expect(missing).toEqual([]);
  });

  test.each(all)('$overlay keeps everything in its namespace', ({ objects }) => {
    const own = objects.find(({ kind }) => kind === 'Namespace')?.metadata.name;
    const cluster = ['Namespace', 'ValidatingAdmissionPolicy', 'ValidatingAdmissionPolicyBinding'];
    expect(objects.filter((object) => !cluster.includes(object.kind) && object.metadata.namespace !== own)).toEqual([]);
  });

  test.each(all)('$overlay runs what the Dockerfile makes', ({ objects }) => {
    const containers = objects.filter(isWorkload).flatMap(({ spec }) => {
      const pod = spec.template.spec;
      return [...(pod.initContainers ?? []), ...pod.containers].map((container) => ({ pod, container }));
    });
    const ours = containers.filter(({ container }) => targetOf(container) !== undefined);
    expect(ours.length).toBeGreaterThan(0);
    for (const { pod, container } of ours) {
      const stage = images.get(targetOf(container) ?? '');
      if (!stage) throw new Error(`${container.image}: the Dockerfile has no such target`);
      const [program, file = ''] = container.command;
      expect(program).toBe('node');
      if (file !== '-e') {
        expect(stage.instructions.some(({ word, rest }) => word === 'COPY' && rest.endsWith(` ./${file.split('/')[0]}`))).toBe(true);
        expect(existsSync(join(folder, '../..', file))).toBe(true);
        const user = { ...pod.securityContext, ...container.securityContext };
        expect(lastOf(stage, 'USER')).toBe(`${String(user['runAsUser'])}:${String(user['runAsGroup'])}`);
        expect(user['runAsNonRoot']).toBe(true);
      }
      const mounts = new Map((container.volumeMounts ?? []).map((mount) => [mount.mountPath, mount]));
      expect(container.securityContext['readOnlyRootFilesystem']).toBe(true);
      // Whatever the image writes to has to be a volume.
      for (const path of [lastOf(stage, 'VOLUME') ?? '', '/tmp']) expect(mounts.get(path)?.readOnly ?? false, path).toBe(false);
      for (const path of [lastOf(stage, 'VOLUME') ?? '', '/tmp']) expect([...mounts.keys()]).toContain(path);
      const exposed = new Set((lastOf(stage, 'EXPOSE') ?? '').split(' '));
      for (const { containerPort } of container.ports ?? []) expect(exposed).toContain(String(containerPort));
    }
  });

  test.each(all)('$overlay sets only what the programs read, and nothing that they refuse', ({ objects }) => {
    const runtime = new Set(['NODE_OPTIONS', 'NODE_COMPILE_CACHE', 'NODE_EXTRA_CA_CERTS']);
    for (const container of objects.filter(isWorkload).flatMap(({ spec }) => spec.template.spec.containers)) {
      const target = targetOf(container);
      if (!target) continue;
      // As the kubelet tells every container.
      const given: Record<string, string> = {
        KUBERNETES_SERVICE_HOST: '10.96.0.1',
        ...environmentOf(images.get(target)!),
        ...environment(objects, container),
      };
      const asked = new Set<string>();
      const watched = new Proxy(given, {
        get: (values, name) => {
          asked.add(String(name));
          return values[String(name)];
        },
      });
      // The node's files are there in a pod only.
      if (target === 'agent')
        expect(() => readAgentConfig(watched)).toThrow(/^The configuration is not valid:\n {2}HOST_ROOT is "\/host"[^\n]*$/);
      else {
        const config = readConfig(watched, container.command.includes('src/migrateMain.ts') ? 'migrate' : 'hub');
        const ports = Object.fromEntries((container.ports ?? []).map((port) => [port.name, port.containerPort]));
        if (container.ports) expect(ports).toEqual({ http: config.port, ops: config.opsPort });
      }
      const unread = Object.keys(environment(objects, container)).filter((name) => !asked.has(name) && !runtime.has(name));
      expect(unread).toEqual([]);
    }
  });

  test.each(all)('$overlay holds to the restricted level, except what says why not', ({ objects }) => {
    for (const { kind, metadata, spec } of objects.filter(isWorkload)) {
      const pod = spec.template.spec;
      expect(pod.automountServiceAccountToken, metadata.name).toBe(false);
      for (const container of pod.containers) {
        const { capabilities, ...rest } = container.securityContext;
        expect(rest).toMatchObject({ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true });
        expect(capabilities).toEqual({ drop: ['ALL'] });
        expect({ ...pod.securityContext, ...rest }).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
        expect(bytes(container.resources.limits['memory'] ?? '')).toBeGreaterThan(0);
        // A limit on CPU would stop the event loop in the middle of a burst.
        expect(container.resources.limits['cpu']).toBeUndefined();
      }
      if (kind === 'DaemonSet') continue;
      expect(pod.initContainers, metadata.name).toBeUndefined();
      expect(pod.volumes?.some((volume) => 'hostPath' in volume) ?? false).toBe(false);
    }
  });

  const hubs = all.filter(({ objects }) => named(objects, 'Deployment', 'hostroom'));
  const hubOf = (objects: readonly Manifest[]): { workload: Workload; pod: PodSpec; container: Container } => {
    const workload = named(objects, 'Deployment', 'hostroom') as Workload;
    const pod = workload.spec.template.spec;
    return { workload, pod, container: pod.containers[0]! };
  };

  test.each(hubs)('$overlay gives the heap three quarters of the memory', ({ objects }) => {
    const { container } = hubOf(objects);
    const heapMiB = Number(/--max-old-space-size=(\d+)/.exec(environment(objects, container)['NODE_OPTIONS'] ?? '')?.[1]);
    expect((heapMiB * 2 ** 20) / bytes(container.resources.limits['memory'] ?? '')).toBe(0.75);
    expect(environment(objects, container)['NODE_OPTIONS']).toContain(environmentOf(images.get('hub')!)['NODE_OPTIONS']);
  });

  test.each(hubs)('$overlay leaves a stop the time it may take', ({ objects }) => {
    const { pod, container, workload } = hubOf(objects);
    const graceMs = readConfig(environment(objects, container)).shutdownGraceMs;
    const podMs = (pod.terminationGracePeriodSeconds ?? 30) * 1_000;
    expect(graceMs).toBeGreaterThanOrEqual(30_000);
    expect(graceMs).toBeLessThan(podMs);
    expect(workload.spec['strategy']).toMatchObject({ rollingUpdate: { maxUnavailable: 0 } });
    expect(workload.spec['minReadySeconds']).toBe(15);
  });

  test('a hub may do what the project names and nothing else', () => {
    const rules = (overlay: string): string[] =>
      (rendered.get(overlay) ?? [])
        .filter(({ kind }) => kind === 'Role')
        .flatMap((role) => role['rules'] as { apiGroups: string[]; resources: string[]; resourceNames?: string[]; verbs: string[] }[])
        .flatMap(({ apiGroups, resources, resourceNames, verbs }) =>
          resources.map((resource) => `${apiGroups.join()}/${resource} ${resourceNames?.join() ?? '*'}: ${verbs.join(' ')}`),
        );
    const usual = ['discovery.k8s.io/endpointslices *: get list watch', '/pods *: get list watch patch', 'events.k8s.io/events *: create'];
    expect(rules('overlays/production')).toEqual(usual);
    expect(rules('overlays/dev')).toEqual([...usual, 'apps/deployments/scale hostroom: get patch']);
    expect((rendered.get('overlays/production') ?? []).filter(({ kind }) => kind.startsWith('Cluster'))).toEqual([]);
  });

  test('the agent keeps its key on the node and sees it read-only', () => {
    const pod = (named(rendered.get('overlays/production/agent') ?? [], 'DaemonSet', 'hostroom-agent') as Workload).spec.template.spec;
    const mounts = new Map((pod.containers[0]?.volumeMounts ?? []).map((mount) => [mount.name, mount]));
    const volumes = new Map((pod.volumes ?? []).map((volume) => [volume['name'], volume]));
    const values = environment(rendered.get('overlays/production/agent') ?? [], pod.containers[0]!);
    expect(mounts.get('state')?.mountPath).toBe(values['STATE_DIR']);
    expect(mounts.get('host')).toMatchObject({ mountPath: values['HOST_ROOT'], readOnly: true });
    expect(volumes.get('state')).toMatchObject({ hostPath: { type: 'DirectoryOrCreate' } });
  });

  test('nginx asks for the pods by a name that needs no search domain', () => {
    const objects = rendered.get('overlays/production with components/nginx') ?? [];
    const config = objects
      .filter(({ kind }) => kind === 'ConfigMap')
      .map(({ data }) => (data as Record<string, string>)['nginx.conf'])
      .find((text) => text !== undefined);
    const [, name = '', port = ''] = /server (\S+):(\d+) resolve/.exec(config ?? '') ?? [];
    const service = objects.find(({ kind, metadata }) => kind === 'Service' && name.startsWith(`${metadata.name}.`));
    expect(name).toBe(`${service?.metadata.name}.${service?.metadata.namespace}.svc.cluster.local`);
    expect(service?.['spec']).toMatchObject({
      clusterIP: 'None',
      ports: expect.arrayContaining([expect.objectContaining({ port: Number(port) })]),
    });
  });

  test('nginx has the time to stop without cutting anybody', () => {
    const objects = rendered.get('overlays/production with components/nginx') ?? [];
    const pod = (named(objects, 'Deployment', 'hostroom-nginx') as Workload).spec.template.spec;
    const seconds = /"sleep","(\d+)"/.exec(JSON.stringify(pod.containers[0]))?.[1];
    const shutdown = /worker_shutdown_timeout (\d+)s;/.exec(JSON.stringify(objects))?.[1];
    expect(Number(seconds)).toBeGreaterThanOrEqual(10);
    expect(Number(seconds) + Number(shutdown)).toBeLessThan(pod.terminationGracePeriodSeconds ?? 0);
  });

  test('secrets that were not filled in stop the rendering', () => {
    expect(() => render(folder, 'overlays/production')).toThrow(/secret\.env/);
  });
});

test('the check finds a field that the API does not know, one that is missing, and one of a wrong type', () => {
  const pod = (container: object): Manifest => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'x' },
    spec: { containers: [container] },
  });
  expect(faultsOf(pod({ name: 'a', image: 'b', imagePullPolcy: 'Always' }))).toEqual([
    'Pod x.spec.containers[0].imagePullPolcy: is not known to V1Container',
  ]);
  expect(faultsOf(pod({ image: 'b' }))).toEqual(['Pod x.spec.containers[0].name: is missing']);
  expect(faultsOf(pod({ name: 'a', ports: [{ containerPort: '80' }] }))).toEqual([
    'Pod x.spec.containers[0].ports[0].containerPort: is no number',
  ]);
  expect(faultsOf({ apiVersion: 'keda.sh/v1alpha1', kind: 'ScaledObject', metadata: { name: 'x' }, spec: { triggers: [{}] } })).toEqual([
    'ScaledObject x.spec.triggers[0].type: is missing',
    'ScaledObject x.spec.triggers[0].metadata: is missing',
    'ScaledObject x.spec.scaleTargetRef: is missing',
  ]);
});
