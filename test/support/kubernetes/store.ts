/** The objects of a small Kubernetes, with their versions and what happened to them. */

export type Kind = 'pods' | 'endpointslices' | 'deployments' | 'events';

export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace?: string;
    resourceVersion?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    deletionTimestamp?: string;
    ownerReferences?: { kind: string; name: string }[];
  };
  [field: string]: unknown;
}

export interface Change {
  version: number;
  kind: Kind;
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  object: KubeObject;
}

/** Changes that a watch may begin behind; older versions are gone. */
const maxChanges = 500;

export class ObjectStore {
  version = 1;
  readonly #objects = new Map<Kind, Map<string, KubeObject>>();
  readonly #changes: Change[] = [];
  readonly #listeners = new Set<(change: Change) => void>();

  list(kind: Kind): KubeObject[] {
    return [...(this.#objects.get(kind)?.values() ?? [])];
  }

  get(kind: Kind, name: string): KubeObject | undefined {
    return this.#objects.get(kind)?.get(name);
  }

  /** Nothing happens when nothing is different. */
  put(kind: Kind, object: KubeObject): void {
    const all = this.#objects.get(kind) ?? new Map<string, KubeObject>();
    this.#objects.set(kind, all);
    const before = all.get(object.metadata.name);
    const resourceVersion = before?.metadata.resourceVersion;
    const same = JSON.stringify({ ...object, metadata: { ...object.metadata, resourceVersion } }) === JSON.stringify(before);
    if (same) return;
    const stored = structuredClone({ ...object, metadata: { ...object.metadata, resourceVersion: String(++this.version) } });
    all.set(stored.metadata.name, stored);
    this.#tell({ version: this.version, kind, type: before ? 'MODIFIED' : 'ADDED', object: stored });
  }

  remove(kind: Kind, name: string): void {
    const object = this.#objects.get(kind)?.get(name);
    if (!object) return;
    this.#objects.get(kind)?.delete(name);
    this.#tell({ version: ++this.version, kind, type: 'DELETED', object });
  }

  /** Undefined when that is too long ago. */
  since(version: number): Change[] | undefined {
    const oldest = this.#changes[0]?.version ?? this.version + 1;
    if (version < oldest - 1 && this.#changes.length === maxChanges) return undefined;
    return this.#changes.filter((change) => change.version > version);
  }

  listen(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tell(change: Change): void {
    this.#changes.push(change);
    if (this.#changes.length > maxChanges) this.#changes.shift();
    for (const listener of this.#listeners) listener(change);
  }
}
