/** Finds what Kubernetes objects name that is not there: volumes, ports, settings, selected pods. */

import type { Manifest } from './manifests.ts';

interface Probe {
  httpGet: { path: string; port: string };
}
export interface Container {
  name: string;
  image: string;
  command: string[];
  env?: { name: string; value?: string; valueFrom?: Record<string, { name: string; key: string } | undefined> }[];
  envFrom?: { configMapRef?: { name: string }; secretRef?: { name: string; optional?: boolean } }[];
  ports?: { name: string; containerPort: number }[];
  volumeMounts?: { name: string; mountPath: string; readOnly?: boolean }[];
  resources: { requests: Record<string, string>; limits: Record<string, string> };
  securityContext: Record<string, unknown> & { capabilities: { drop: string[]; add?: string[] } };
  startupProbe?: Probe;
  livenessProbe?: Probe;
  readinessProbe?: Probe;
}
export interface PodSpec {
  serviceAccountName?: string;
  securityContext: Record<string, unknown>;
  containers: Container[];
  initContainers?: Container[];
  volumes?: Record<string, unknown>[];
  terminationGracePeriodSeconds?: number;
  automountServiceAccountToken?: boolean;
}
export interface Workload extends Manifest {
  spec: {
    selector?: { matchLabels: Record<string, string> };
    template: { metadata: { labels: Record<string, string> }; spec: PodSpec };
    volumeClaimTemplates?: { metadata: { name: string } }[];
  } & Record<string, unknown>;
}

export const isWorkload = (object: Manifest): object is Workload => ['Deployment', 'StatefulSet', 'DaemonSet', 'Job'].includes(object.kind);
export const named = (objects: readonly Manifest[], kind: string, name: string): Manifest | undefined =>
  objects.find((object) => object.kind === kind && object.metadata.name === name);
const selects = (selector: Record<string, string>, labels: Record<string, string> = {}): boolean =>
  Object.entries(selector).every(([key, value]) => labels[key] === value);
const dataOf = (object: Manifest | undefined): Record<string, string> => {
  const encoded = (object?.['data'] ?? {}) as Record<string, string>;
  if (object?.kind !== 'Secret') return encoded;
  return Object.fromEntries(Object.entries(encoded).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]));
};

/** The environment of a container as the kubelet would make it. */
export function environment(objects: readonly Manifest[], container: Container): Record<string, string> {
  const from = (container.envFrom ?? []).flatMap(({ configMapRef, secretRef }) => {
    const object = configMapRef ? named(objects, 'ConfigMap', configMapRef.name) : named(objects, 'Secret', secretRef?.name ?? '');
    return Object.entries(dataOf(object));
  });
  const own = (container.env ?? []).map(({ name, value, valueFrom }) => {
    const secret = valueFrom?.['secretKeyRef'];
    return [name, value ?? (secret ? (dataOf(named(objects, 'Secret', secret.name))[secret.key] ?? '') : `<${name}>`)] as const;
  });
  return Object.fromEntries([...from, ...own]);
}

/** Everything of an object that names something else, and whether that is there. */
export function* missingIn(objects: readonly Manifest[], workload: Workload): Generator<string> {
  const { template, selector, volumeClaimTemplates } = workload.spec;
  const pod = template.spec;
  const where = `${workload.kind} ${workload.metadata.name}`;
  if (selector && !selects(selector.matchLabels, template.metadata.labels)) yield `${where}: does not select its own pods`;
  if (pod.serviceAccountName && !named(objects, 'ServiceAccount', pod.serviceAccountName)) yield `${where}: ${pod.serviceAccountName}`;
  for (const volume of pod.volumes ?? []) {
    const { configMap, secret } = volume as { configMap?: { name: string }; secret?: { secretName: string } };
    if (configMap && !named(objects, 'ConfigMap', configMap.name)) yield `${where}: ConfigMap ${configMap.name}`;
    if (secret && !named(objects, 'Secret', secret.secretName)) yield `${where}: Secret ${secret.secretName}`;
  }
  const volumes = new Set([...(pod.volumes ?? []), ...(volumeClaimTemplates ?? []).map((one) => one.metadata)].map((one) => one['name']));
  const used = new Set<unknown>();
  for (const container of [...(pod.initContainers ?? []), ...pod.containers]) {
    for (const { name } of container.volumeMounts ?? []) {
      used.add(name);
      if (!volumes.has(name)) yield `${where}: volume ${name}`;
    }
    for (const { configMapRef, secretRef } of container.envFrom ?? []) {
      if (configMapRef && !named(objects, 'ConfigMap', configMapRef.name)) yield `${where}: ConfigMap ${configMapRef.name}`;
      if (secretRef && !secretRef.optional && !named(objects, 'Secret', secretRef.name)) yield `${where}: Secret ${secretRef.name}`;
    }
    for (const { valueFrom } of container.env ?? []) {
      const key = valueFrom?.['secretKeyRef'];
      if (key && !dataOf(named(objects, 'Secret', key.name))[key.key]) yield `${where}: ${key.key} of Secret ${key.name}`;
    }
    const ports = new Set((container.ports ?? []).map(({ name }) => name));
    for (const probe of [container.startupProbe, container.livenessProbe, container.readinessProbe])
      if (probe?.httpGet && !ports.has(probe.httpGet.port)) yield `${where}: port ${probe.httpGet.port} of a probe`;
  }
  for (const name of volumes) if (!used.has(name)) yield `${where}: nothing mounts ${String(name)}`;
}

/** The same for what stands beside workloads. */
export function* missingBeside(objects: readonly Manifest[], object: Manifest): Generator<string> {
  const workloads = objects.filter(isWorkload);
  const where = `${object.kind} ${object.metadata.name}`;
  const spec = (object['spec'] ?? {}) as Record<string, unknown>;
  const pods = (selector: Record<string, string>): Workload[] =>
    workloads.filter((one) => selects(selector, one.spec.template.metadata.labels));
  const portNames = (found: Workload[]): Set<unknown> =>
    new Set(
      found.flatMap((one) => one.spec.template.spec.containers.flatMap((container) => (container.ports ?? []).map(({ name }) => name))),
    );
  switch (object.kind) {
    case 'Service': {
      const found = pods((spec['selector'] ?? {}) as Record<string, string>);
      if (found.length !== 1) yield `${where}: selects ${found.length} workloads`;
      for (const { targetPort } of spec['ports'] as { targetPort: string }[])
        if (!portNames(found).has(targetPort)) yield `${where}: port ${targetPort}`;
      return;
    }
    case 'PodDisruptionBudget':
      if (pods((spec['selector'] as { matchLabels: Record<string, string> }).matchLabels).length !== 1) yield `${where}: selects nothing`;
      return;
    case 'NetworkPolicy': {
      const { matchLabels } = spec['podSelector'] as { matchLabels?: Record<string, string> };
      if (!matchLabels) return;
      const found = pods(matchLabels);
      if (found.length === 0) yield `${where}: selects nothing`;
      for (const { ports } of (spec['ingress'] ?? []) as { ports: { port: string }[] }[])
        for (const { port } of ports) if (!portNames(found).has(port)) yield `${where}: port ${port}`;
      return;
    }
    case 'HorizontalPodAutoscaler':
    case 'ScaledObject': {
      const target = spec['scaleTargetRef'] as { kind: string; name: string };
      const found = named(objects, target.kind, target.name) as Workload | undefined;
      if (!found) yield `${where}: ${target.kind} ${target.name}`;
      if (found?.spec['replicas'] !== undefined) yield `${where}: its target says replicas too`;
      return;
    }
    case 'Role': {
      const rules = object['rules'] as { resources: string[]; resourceNames?: string[] }[];
      for (const { resources, resourceNames = [] } of rules.filter(({ resources }) => resources.includes('deployments/scale')))
        for (const name of resourceNames) if (!named(objects, 'Deployment', name)) yield `${where}: ${resources.join()} of ${name}`;
      return;
    }
    case 'RoleBinding': {
      const { roleRef, subjects } = object as unknown as {
        roleRef: { kind: string; name: string };
        subjects: { kind: string; name: string }[];
      };
      for (const { kind, name } of [roleRef, ...subjects]) if (!named(objects, kind, name)) yield `${where}: ${kind} ${name}`;
      return;
    }
    case 'Ingress': {
      const rules = spec['rules'] as { http: { paths: { backend: { service: { name: string; port: { name: string } } } }[] } }[];
      for (const { service } of rules.flatMap(({ http }) => http.paths.map(({ backend }) => backend)))
        yield* missingPort(objects, where, service.name, (port) => port.name === service.port.name);
      return;
    }
    case 'HTTPRoute': {
      const rules = spec['rules'] as { backendRefs: { name: string; port: number }[] }[];
      for (const { name, port } of rules.flatMap(({ backendRefs }) => backendRefs))
        yield* missingPort(objects, where, name, (one) => one.port === port);
      return;
    }
    case 'ServiceMonitor': {
      const { matchLabels } = spec['selector'] as { matchLabels: Record<string, string> };
      const services = objects.filter((one) => one.kind === 'Service' && selects(matchLabels, one.metadata.labels));
      if (services.length !== 1) yield `${where}: selects ${services.length} services`;
      for (const { port } of spec['endpoints'] as { port: string }[])
        for (const service of services) yield* missingPort(objects, where, service.metadata.name, (one) => one.name === port);
      return;
    }
    case 'ValidatingAdmissionPolicyBinding': {
      if (!named(objects, 'ValidatingAdmissionPolicy', String(spec['policyName']))) yield `${where}: its policy`;
      const { namespaceSelector } = spec['matchResources'] as { namespaceSelector: { matchLabels: Record<string, string> } };
      if (!objects.some((one) => one.kind === 'Namespace' && selects(namespaceSelector.matchLabels, one.metadata.labels)))
        yield `${where}: selects no namespace`;
    }
  }
}

function* missingPort(
  objects: readonly Manifest[],
  where: string,
  name: string,
  isIt: (port: { name: string; port: number }) => boolean,
): Generator<string> {
  const service = named(objects, 'Service', name) as { spec?: { ports: { name: string; port: number }[] } } | undefined;
  if (!service?.spec?.ports.some(isIt)) yield `${where}: Service ${name} or its port`;
}
