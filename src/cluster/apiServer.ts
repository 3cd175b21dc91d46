/** Speaks with the API server of Kubernetes: single requests and watches, each within its time, what comes back unchecked. */

import type { KubeConfig, Watch } from '@kubernetes/client-node';
import { request as requestHttp } from 'node:http';
import { request as requestHttps, type RequestOptions } from 'node:https';
import type { IncomingMessage } from 'node:http';
import type { KubernetesPlace } from '../lib/kubernetesPlace.ts';

/** The API server refused, did not answer in time, or answered what is no JSON. */
export class ApiFault extends Error {
  /** Undefined without an answer. */
  readonly status: number | undefined;

  constructor(message: string, status?: number, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ApiFault';
    this.status = status;
  }
}

export interface ApiCall {
  method: 'GET' | 'POST' | 'PATCH';
  /** With its query. */
  path: string;
  body?: unknown;
  contentType?: 'application/json' | 'application/merge-patch+json' | 'application/apply-patch+yaml';
}

export interface WatchCall {
  path: string;
  query: Readonly<Record<string, string>>;
  /** A line, as it came. */
  event: (type: string, object: unknown) => void;
  /** A watch on which nothing arrives for so long is given up. */
  silentMs: number;
  signal: AbortSignal;
}

/** Answers that mean that this may not be asked at all. */
export const refusals: readonly (number | undefined)[] = [401, 403, 404];

const answerWithinMs = 10_000;
const maxAnswerBytes = 32 * 1024 * 1024;

export class ApiServer {
  readonly namespace: string;
  readonly #config: KubeConfig;
  readonly #server: string;
  readonly #Watch: typeof Watch;

  private constructor(config: KubeConfig, watch: typeof Watch, place: KubernetesPlace) {
    const cluster = config.getCurrentCluster();
    const namespace = place.namespace ?? config.getContextObject(config.getCurrentContext())?.namespace;
    if (!cluster) throw new ApiFault('the configuration of the client names no cluster');
    if (!namespace) throw new ApiFault('the namespace is not known; give POD_NAMESPACE');
    this.#config = config;
    this.#server = cluster.server;
    this.#Watch = watch;
    this.namespace = namespace;
  }

  /** Loads the client, which no other place needs; asks nothing yet. Throws ApiFault when the configuration is of no use. */
  static async open(place: KubernetesPlace): Promise<ApiServer> {
    const client = await import('@kubernetes/client-node');
    try {
      const config = new client.KubeConfig();
      if (place.kubeconfig === undefined) config.loadFromCluster();
      else config.loadFromFile(place.kubeconfig);
      return new ApiServer(config, client.Watch, place);
    } catch (error) {
      if (error instanceof ApiFault) throw error;
      throw new ApiFault('the configuration of the client cannot be read', undefined, { cause: error });
    }
  }

  /** The answer's JSON. Throws ApiFault. */
  async call({ method, path, body, contentType = 'application/json' }: ApiCall): Promise<unknown> {
    const url = new URL(this.#server + path);
    const text = body === undefined ? undefined : JSON.stringify(body);
    const options: RequestOptions = {
      method,
      headers: { accept: 'application/json', ...(text !== undefined && { 'content-type': contentType }) },
      signal: AbortSignal.timeout(answerWithinMs),
    };
    try {
      await this.#config.applyToHTTPSOptions(options);
      return await send(url, options, text);
    } catch (error) {
      if (error instanceof ApiFault) throw error;
      throw new ApiFault(`${method} ${path.split('?')[0]}: ${String(error)}`, undefined, { cause: error });
    }
  }

  /** Resolves when the server ends the watch; rejects with ApiFault when it refuses it, or nothing arrives in time. */
  async watch({ path, query, event, silentMs, signal }: WatchCall): Promise<void> {
    let timers = 0;
    // The library has one limit for the answer's begin and for silence later, and no way to set it.
    const watch = Object.defineProperty(new this.#Watch(this.#config), 'requestTimeoutMs', {
      get: () => (timers++ === 0 ? answerWithinMs : silentMs),
    });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const done = (error: unknown): void => {
      if (error == null || signal.aborted) return resolve();
      const status = (error as { statusCode?: unknown }).statusCode;
      reject(new ApiFault(`watching ${path}: ${String(error)}`, typeof status === 'number' ? status : undefined, { cause: error }));
    };
    const controller = await watch.watch(path, { ...query }, (type: string, object: unknown) => event(type, object), done);
    const abort = (): void => controller.abort();
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    await promise.finally(() => signal.removeEventListener('abort', abort));
  }
}

async function send(url: URL, options: RequestOptions, body: string | undefined): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const request = (url.protocol === 'http:' ? requestHttp : requestHttps)(url, options, resolve);
  request.on('error', reject);
  request.end(body);
  const answer = await promise;
  const status = answer.statusCode ?? 0;
  let text = '';
  for await (const part of answer.setEncoding('utf8')) {
    text += String(part);
    if (text.length > maxAnswerBytes) throw new ApiFault('the answer is too long', status);
  }
  if (status < 200 || status > 299) throw new ApiFault(`${options.method} ${url.pathname}: ${status} ${text.slice(0, 200)}`, status);
  return JSON.parse(text) as unknown;
}
