/** A small API server of Kubernetes: what the hub and kubectl ask, with faults on demand. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ObjectStore, type Change, type Kind, type KubeObject } from './store.ts';

/**
 * A number: that status to everything, watches cut. `gone`: each watch is told 410. `hang`: nothing is answered. `silent`: watches are
 * taken and hear nothing. `empty`: lists have nothing in them. `ends`: each watch ends at once.
 */
export type ApiTrouble = number | 'gone' | 'hang' | 'silent' | 'empty' | 'ends' | undefined;

export interface FakeApi {
  url: string;
  store: ObjectStore;
  /** For KUBECONFIG and kubectl. */
  kubeconfig: string;
  /** What was asked since the last call, as `GET /path` without query; watches as `WATCH /path`. */
  takeRequests(): string[];
  trouble(kind: ApiTrouble): void;
  /** Answers 403 to requests whose method and path contain this. */
  forbid(part: string | undefined): void;
  /** Another owner of an annotation of a pod: applying another value is a conflict. */
  own(pod: string, annotation: string, manager: string): void;
  /** Tells all watches the newest version. */
  bookmark(): void;
  close(): Promise<void>;
}

export const namespace = 'default';
const kindOf: Record<string, Kind> = {
  [`/api/v1/namespaces/${namespace}/pods`]: 'pods',
  [`/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`]: 'endpointslices',
  [`/apis/apps/v1/namespaces/${namespace}/deployments`]: 'deployments',
  [`/apis/events.k8s.io/v1/namespaces/${namespace}/events`]: 'events',
};
const resource = (name: string, kind: string, verbs: string[]): object => ({ name, singularName: '', namespaced: true, kind, verbs });
/** What kubectl asks before it asks for anything. */
const discovery: Record<string, object> = {
  '/version': { major: '1', minor: '32', gitVersion: 'v1.32.0' },
  '/api': { kind: 'APIVersions', versions: ['v1'] },
  '/apis': {
    kind: 'APIGroupList',
    apiVersion: 'v1',
    groups: [
      {
        name: 'apps',
        versions: [{ groupVersion: 'apps/v1', version: 'v1' }],
        preferredVersion: { groupVersion: 'apps/v1', version: 'v1' },
      },
    ],
  },
  '/api/v1': {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: 'v1',
    resources: [resource('pods', 'Pod', ['get', 'list', 'watch', 'patch'])],
  },
  '/apis/apps/v1': {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: 'apps/v1',
    resources: [
      resource('deployments', 'Deployment', ['get', 'list', 'watch', 'patch']),
      { ...resource('deployments/scale', 'Scale', ['get', 'patch', 'update']), group: 'autoscaling', version: 'v1' },
    ],
  },
};

interface Watcher {
  kind: Kind;
  selector: string | null;
  response: ServerResponse;
}

export async function startFakeApi(): Promise<FakeApi> {
  const store = new ObjectStore();
  const watchers = new Set<Watcher>();
  const owners = new Map<string, string>();
  const requests: string[] = [];
  let trouble: ApiTrouble;
  let forbidden: string | undefined;

  const isDeaf = (): boolean => trouble === 'silent' || trouble === 'hang' || trouble === 'empty';
  store.listen((change) => {
    if (!isDeaf()) for (const watcher of watchers) tellChange(watcher, change);
  });
  const end = (watcher: Watcher): void => {
    watchers.delete(watcher);
    watcher.response.end();
  };

  const watch = (kind: Kind, query: URLSearchParams, response: ServerResponse): void => {
    const watcher = { kind, selector: query.get('labelSelector'), response };
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    if (trouble === 'ends') return void response.end();
    const missed = trouble === 'gone' ? undefined : store.since(Number(query.get('resourceVersion') ?? 0));
    if (!missed) {
      response.end(line('ERROR', { kind: 'Status', status: 'Failure', reason: 'Expired', code: 410, message: 'too old resource version' }));
      return;
    }
    watchers.add(watcher);
    response.on('close', () => watchers.delete(watcher));
    if (isDeaf()) return;
    for (const change of missed) tellChange(watcher, change);
    setTimeout(() => end(watcher), Number(query.get('timeoutSeconds') ?? 300) * 1_000).unref();
  };

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', 'http://api');
    const isWatch = url.searchParams.get('watch') === 'true';
    requests.push(`${isWatch ? 'WATCH' : request.method} ${url.pathname}`);
    if (trouble === 'hang') return;
    if (typeof trouble === 'number') return fail(response, trouble);
    if (forbidden !== undefined && `${request.method} ${url.pathname}`.includes(forbidden)) return fail(response, 403);
    const body = await bodyOf(request);
    const known = discovery[url.pathname];
    if (known) return send(response, known);
    const found = Object.entries(kindOf).find(([path]) => url.pathname === path || url.pathname.startsWith(`${path}/`));
    if (!found) return fail(response, 404);
    const [path, kind] = found;
    const [name = '', sub] = url.pathname.slice(path.length + 1).split('/');
    if (isWatch) return watch(kind, url.searchParams, response);
    if (name === '' && request.method === 'POST') {
      store.put(kind, JSON.parse(body) as KubeObject);
      return send(response, {}, 201);
    }
    if (name === '') {
      const selector = url.searchParams.get('labelSelector');
      const items = trouble === 'empty' ? [] : store.list(kind).filter((object) => matches(object, selector));
      return send(response, { kind: 'List', apiVersion: 'v1', metadata: { resourceVersion: String(store.version) }, items });
    }
    const object = store.get(kind, name);
    if (!object) return fail(response, 404);
    if (request.method === 'PATCH') return patch(kind, structuredClone(object), sub, body, url, response);
    send(response, sub === 'scale' ? scaleOf(object) : object);
  };

  const patch = (kind: Kind, object: KubeObject, sub: string | undefined, body: string, url: URL, response: ServerResponse): void => {
    const change = JSON.parse(body) as Partial<KubeObject>;
    if (kind === 'pods') {
      const manager = url.searchParams.get('fieldManager') ?? '';
      const wanted = change.metadata?.annotations ?? {};
      const keyOf = (annotation: string): string => `${object.metadata.name} ${annotation}`;
      if (Object.keys(wanted).some((annotation) => (owners.get(keyOf(annotation)) ?? manager) !== manager)) return fail(response, 409);
      const kept = Object.entries(object.metadata.annotations ?? {}).filter(([annotation]) => owners.get(keyOf(annotation)) !== manager);
      object.metadata.annotations = { ...Object.fromEntries(kept), ...wanted };
      for (const annotation of Object.keys(wanted)) owners.set(keyOf(annotation), manager);
    } else {
      object['spec'] = merge(object['spec'], change['spec']);
    }
    store.put(kind, object);
    send(response, sub === 'scale' ? scaleOf(object) : (store.get(kind, object.metadata.name) ?? object));
  };

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => fail(response, 500, String(error)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    store,
    kubeconfig: kubeconfigFor(url),
    takeRequests: () => requests.splice(0),
    trouble(kind) {
      trouble = kind;
      if (!isDeaf()) for (const watcher of watchers) end(watcher);
    },
    forbid: (part) => void (forbidden = part),
    own: (pod, annotation, manager) => void owners.set(`${pod} ${annotation}`, manager),
    bookmark() {
      if (isDeaf()) return;
      for (const { response, kind } of watchers)
        response.write(line('BOOKMARK', { kind, metadata: { resourceVersion: String(store.version) } }));
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

const line = (type: string, object: object): string => `${JSON.stringify({ type, object })}\n`;

function tellChange({ kind, selector, response }: Watcher, change: Change): void {
  if (change.kind === kind && matches(change.object, selector)) response.write(line(change.type, change.object));
}

function matches({ metadata: { labels = {} } }: KubeObject, selector: string | null): boolean {
  return (selector ?? '')
    .split(',')
    .filter(Boolean)
    .every((term) => labels[term.split('=')[0]!] === term.split('=')[1]);
}

function send(response: ServerResponse, body: object, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

const fail = (response: ServerResponse, code: number, message = `trouble ${code}`): void =>
  send(response, { kind: 'Status', apiVersion: 'v1', status: 'Failure', message, code }, code);

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const part of request.setEncoding('utf8')) text += String(part);
  return text;
}

function scaleOf({ metadata, spec, status }: KubeObject): object {
  const { replicas } = spec as { replicas: number };
  return { kind: 'Scale', apiVersion: 'autoscaling/v1', metadata, spec: { replicas }, status: status ?? { replicas } };
}

/** A merge patch: objects are merged, everything else is replaced. */
function merge(before: unknown, change: unknown): unknown {
  if (typeof change !== 'object' || change === null || Array.isArray(change)) return change ?? before;
  const all = { ...(before as Record<string, unknown>) };
  for (const [name, value] of Object.entries(change)) all[name] = merge(all[name], value);
  return all;
}

/** JSON is YAML. */
function kubeconfigFor(server: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'test', user: { token: 'test' } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test', namespace } }],
    'current-context': 'test',
  });
}
