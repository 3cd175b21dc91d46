/** Keeps a copy of a list of the API server up to date: lists, watches from there, begins again when that fails. */

import { setTimeout as wait } from 'node:timers/promises';
import { ApiFault, type ApiServer } from './apiServer.ts';

export interface ReflectorOptions<T> {
  server: Pick<ApiServer, 'call' | 'watch'>;
  /** Of the list, without a query. */
  path: string;
  labelSelector?: string;
  /** An object as it came; undefined drops it. */
  read(object: unknown): T | undefined;
  /** Why a list cannot be whole, or undefined: a server that lists nothing is not believed. */
  doubt(items: ReadonlyMap<string, T>): string | undefined;
  /** The copy is complete, or was changed. */
  changed(): void;
  /** The copy may be out of date from now on: the server did not answer as it should. */
  lost(error: ApiFault): void;
  times?: Partial<typeof defaultTimes>;
}

const defaultTimes = {
  /** A watch is ended by the server after a random time between these. */
  watchLeastMs: 240_000,
  watchMostMs: 300_000,
  /** So much longer without a line, and it is given up. */
  stallMs: 10_000,
  relistMs: 600_000,
  /** After a failure: a random time up to twice the one before, between these. */
  backoffLeastMs: 4_000,
  backoffMostMs: 30_000,
};

const gone = 410;
interface Listed {
  metadata?: { resourceVersion?: unknown };
  items?: unknown;
}
interface Named {
  metadata?: { name?: unknown; resourceVersion?: unknown };
}

export class Reflector<T> {
  readonly items = new Map<string, T>();
  readonly #options: ReflectorOptions<T>;
  readonly #times: typeof defaultTimes;
  readonly #closed = new AbortController();
  #version = '';
  #isSynced = false;
  #failures = 0;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#times = { ...defaultTimes, ...options.times };
  }

  /** Whether the copy was complete and nothing failed since. */
  get isSynced(): boolean {
    return this.#isSynced;
  }

  /** Runs until closed. Rejects with ApiFault only when the server forbids it: asking again would change nothing. */
  async run(): Promise<void> {
    while (!this.#isClosed) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- one request at a time
        await this.#follow();
      } catch (error) {
        if (this.#isClosed) return;
        const fault = error instanceof ApiFault ? error : new ApiFault(String(error), undefined, { cause: error });
        if (fault.status === 401 || fault.status === 403) throw fault;
        // A version too old is no fault of the server, unless each is.
        if (fault.status !== gone || this.#failures > 0) this.#lose(fault);
        // oxlint-disable-next-line no-await-in-loop -- a wait between two tries
        await this.#backOff();
      }
    }
  }

  close(): void {
    this.#closed.abort();
  }

  get #isClosed(): boolean {
    return this.#closed.signal.aborted;
  }

  /** Lists, then watches until it is time to list again. */
  async #follow(): Promise<void> {
    await this.#list();
    const relistAtMs = performance.now() + this.#times.relistMs;
    while (!this.#isClosed && performance.now() < relistAtMs) {
      const startedMs = performance.now();
      const version = this.#version;
      // oxlint-disable-next-line no-await-in-loop -- one watch after the other
      await this.#watch();
      if (performance.now() - startedMs > this.#times.backoffLeastMs || this.#version !== version) this.#failures = 0;
      // A server that ends each watch at once is not to be asked in a loop.
      // oxlint-disable-next-line no-await-in-loop -- a wait between two tries
      else await this.#backOff();
    }
  }

  async #list(): Promise<void> {
    const { server, path, labelSelector, read, doubt, changed } = this.#options;
    const query = labelSelector === undefined ? '' : `?labelSelector=${encodeURIComponent(labelSelector)}`;
    const listed = (await server.call({ method: 'GET', path: path + query })) as Listed | null;
    const version = listed?.metadata?.resourceVersion;
    if (typeof version !== 'string' || !Array.isArray(listed?.items)) throw new ApiFault(`${path}: the answer is no list`);
    this.items.clear();
    for (const object of listed.items) {
      const name = nameOf(object);
      const item = name === undefined ? undefined : read(object);
      if (name !== undefined && item !== undefined) this.items.set(name, item);
    }
    this.#version = version;
    const why = doubt(this.items);
    if (why !== undefined) throw new ApiFault(`${path}: ${why}`);
    this.#isSynced = true;
    changed();
  }

  async #watch(): Promise<void> {
    const { server, path, labelSelector } = this.#options;
    const { watchLeastMs, watchMostMs, stallMs } = this.#times;
    const timeoutS = Math.ceil((watchLeastMs + Math.random() * (watchMostMs - watchLeastMs)) / 1_000);
    let fault: ApiFault | undefined;
    const ended = new AbortController();
    await server.watch({
      path,
      query: {
        ...(labelSelector !== undefined && { labelSelector }),
        resourceVersion: this.#version,
        allowWatchBookmarks: 'true',
        timeoutSeconds: String(timeoutS),
      },
      silentMs: timeoutS * 1_000 + stallMs,
      signal: AbortSignal.any([this.#closed.signal, ended.signal]),
      event: (type, object) => {
        fault ??= this.#take(type, object);
        if (fault) ended.abort();
      },
    });
    if (fault) throw fault;
  }

  /** A line of the watch; gives what ends it. */
  #take(type: string, object: unknown): ApiFault | undefined {
    if (type === 'ERROR') {
      const { code, message } = (object ?? {}) as { code?: unknown; message?: unknown };
      return new ApiFault(`the watch failed: ${String(message)}`, typeof code === 'number' ? code : undefined);
    }
    const version = (object as Named | null)?.metadata?.resourceVersion;
    if (typeof version === 'string') this.#version = version;
    const name = nameOf(object);
    if (name === undefined || !['ADDED', 'MODIFIED', 'DELETED'].includes(type)) return undefined;
    const item = type === 'DELETED' ? undefined : this.#options.read(object);
    if (item === undefined) this.items.delete(name);
    else this.items.set(name, item);
    this.#options.changed();
    return undefined;
  }

  #lose(fault: ApiFault): void {
    this.#isSynced = false;
    this.#options.lost(fault);
  }

  async #backOff(): Promise<void> {
    const { backoffLeastMs, backoffMostMs } = this.#times;
    const mostMs = Math.min(backoffMostMs, backoffLeastMs * 2 ** Math.min(this.#failures++, 10));
    const ms = Math.max(backoffLeastMs * 0.75, Math.random() * mostMs);
    await wait(ms, undefined, { signal: this.#closed.signal, ref: false }).catch(() => undefined);
  }
}

function nameOf(object: unknown): string | undefined {
  const name = (object as Named | null)?.metadata?.name;
  return typeof name === 'string' && name !== '' ? name : undefined;
}
