/** Reads pods and EndpointSlices: which replicas of one Deployment get new connections. */

export interface Pod {
  name: string;
  /** The machine it runs on; empty where it has none yet. */
  node: string;
  /** Of its Deployment; undefined for a pod that belongs to none. */
  deployment: string | undefined;
  /** Names its version: the hash of the Deployment's template. */
  template: string;
  ready: boolean;
  terminating: boolean;
  labels: Readonly<Record<string, string>>;
}

/** One pod behind a Service. */
export interface Endpoint {
  pod: string;
  /** Gets new connections. */
  ready: boolean;
}

const templateLabel = 'pod-template-hash';

/** Undefined for what is no pod. */
export function readPod(object: unknown): Pod | undefined {
  const { metadata, spec, status } = asRecord(object);
  const { nodeName } = asRecord(spec);
  const { name, labels, ownerReferences, deletionTimestamp } = asRecord(metadata);
  if (typeof name !== 'string') return undefined;
  const known = Object.fromEntries(
    Object.entries(asRecord(labels)).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
  const template = known[templateLabel] ?? '';
  const owner = listOf(ownerReferences).find(({ kind }) => kind === 'ReplicaSet')?.['name'];
  // A ReplicaSet bears the name of its Deployment and the hash of the template.
  const isOwned = typeof owner === 'string' && template !== '' && owner.endsWith(`-${template}`);
  return {
    name,
    node: typeof nodeName === 'string' ? nodeName : '',
    deployment: isOwned ? owner.slice(0, -template.length - 1) : undefined,
    template,
    ready: listOf(asRecord(status)['conditions']).some((condition) => condition['type'] === 'Ready' && condition['status'] === 'True'),
    terminating: deletionTimestamp !== undefined && deletionTimestamp !== null,
    labels: known,
  };
}

/** Those of an EndpointSlice that are pods. */
export function readSlice(object: unknown): Endpoint[] {
  return listOf(asRecord(object)['endpoints']).flatMap(({ targetRef, conditions }) => {
    const { kind, name } = asRecord(targetRef);
    const { ready, terminating } = asRecord(conditions);
    // Absent means ready.
    return kind === 'Pod' && typeof name === 'string' ? [{ pod: name, ready: ready !== false && terminating !== true }] : [];
  });
}

/** Finds the pods that are replicas of the same Deployment, and others with the same labels, which `readyPods` leaves out. */
export function selectorOf({ labels }: Pod): string {
  return Object.entries(labels)
    .filter(([name]) => name !== templateLabel)
    .map(([name, value]) => `${name}=${value}`)
    .toSorted()
    .join(',');
}

/** Those of `pods` that every Service which knows them sends new connections to. */
export function readyPods(pods: readonly Pod[], slices: Iterable<readonly Endpoint[]>): Pod[] {
  const behind = new Map<string, boolean>();
  for (const slice of slices) for (const { pod, ready } of slice) behind.set(pod, ready && behind.get(pod) !== false);
  return pods.filter(({ name, ready, terminating }) => ready && !terminating && behind.get(name) === true);
}

type Unknown = Readonly<Record<string, unknown>>;
const asRecord = (value: unknown): Unknown => (typeof value === 'object' && value !== null ? (value as Unknown) : {});
const listOf = (value: unknown): Unknown[] => (Array.isArray(value) ? value.map(asRecord) : []);
