/** The one loop that owns the connection to the hub: reach it, enrol, connect, deliver, wait, again. */

import { closes, errors } from '../src/protocol/codes.ts';
import type { Inventory } from '../src/protocol/kinds.ts';
import type { HubClock } from './clock.ts';
import { Closed, Connection, Refused } from './connection.ts';
import { Delivery } from './delivery.ts';
import { enrol, EnrolmentRefused } from './enrol.ts';
import { askHub } from './http.ts';
import type { Enrolment, Identity } from './identity.ts';
import type { Log } from './log.ts';
import type { Draft, Spool } from './spool.ts';
import type { End } from './webSocket.ts';

export interface LinkParts {
  hubUrl: string;
  /** Used while the agent is not enrolled by it. */
  enrolmentToken: string | undefined;
  stateDir: string;
  name: string;
  boot: string;
  version: string;
  clock: HubClock;
  spool: Spool;
  log: Log;
  /** Resolves once known; sent after each connect. */
  inventory: () => Promise<Inventory | undefined>;
}

const syncEveryMs = 15 * 60_000;
const firstRetryMs = 500;
const lastRetryMs = 10_000;
/** A connection that lasted so long was no failure: where replicas go one after the other, agents come back as quickly each time. */
const goodAfterMs = 3_000;
const replacedMs = 60_000;
const refusedMs = 5 * 60_000;
const inventoryPatienceMs = 30_000;

export class Link {
  readonly #parts: LinkParts;
  readonly #dropped = new Map<string, number>();
  #identity: Identity | undefined;
  #delivery: Delivery | undefined;
  #connection: Connection | undefined;
  /** Counts within the boot: of two connections of one agent the higher wins. */
  #connections = 0;
  #failures = 0;
  #sentBytes = 0;
  #syncedMs = -Infinity;
  #isClosed = false;
  #wake: () => void = () => {};
  #done: Promise<void> | undefined;

  constructor(parts: LinkParts) {
    this.#parts = parts;
  }

  /** Starts the loop. The promise rejects only where no retry can help: without an identity and without a usable token. */
  start(): Promise<void> {
    this.#done = this.#run();
    return this.#done;
  }

  /** Keeps the publication and, while connected, sends it at once. */
  publish(draft: Draft): void {
    const entry = this.#parts.spool.add(draft);
    this.#delivery?.publish(entry);
  }

  /** Publications that the hub refused for good since the start. */
  get refused(): number {
    let sum = 0;
    for (const count of this.#dropped.values()) sum += count;
    return sum;
  }

  get sentBytes(): number {
    return this.#sentBytes + (this.#connection?.sentBytes ?? 0);
  }

  /** The connection now open, if any; for tests and figures. */
  get connection(): Connection | undefined {
    return this.#connection;
  }

  /** Says goodbye and ends the loop. What is not committed stays in the spool. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#connection?.close();
    this.#wake();
    await this.#done?.catch(() => {});
  }

  /** Asks the hub for its time. True where the agent's was wrong. Rejects when the hub cannot be asked. */
  async syncClock(): Promise<boolean> {
    const sentMs = performance.now();
    const answer = await askHub(`${this.#parts.hubUrl}/api/v1/time`);
    const time = typeof answer === 'object' && answer !== null && 'time' in answer ? answer.time : undefined;
    if (typeof time !== 'number' || !Number.isFinite(time)) throw new Error('the answer to /api/v1/time holds no time; check HUB_URL');
    return this.#takeTime(time, sentMs);
  }

  #takeTime(time: number, sentMs: number): boolean {
    const { clock, spool, log } = this.#parts;
    const nowMs = performance.now();
    const correction = clock.sync(time, sentMs, nowMs);
    this.#syncedMs = nowMs;
    if (correction === 'first') spool.stamp();
    if (correction === 'corrected') log.info('corrected the clock to hub time');
    return correction === 'corrected';
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      const beganMs = performance.now();
      let waitMs: number;
      try {
        waitMs = this.#afterEnd(await this.#session(), performance.now() - beganMs);
      } catch (error) {
        if (error instanceof EnrolmentRefused) throw error;
        waitMs = this.#afterFailure(error);
      }
      await this.#pause(waitMs);
    }
  }

  /** From reaching the hub to the connection's end. */
  async #session(): Promise<End> {
    const { hubUrl, boot, version, clock, log } = this.#parts;
    if (performance.now() - this.#syncedMs > syncEveryMs) await this.syncClock();
    this.#identity = await enrol(this.#parts, this.#identity);
    const enrolment = this.#identity.enrolment!;
    this.#parts.spool.belongTo(enrolment.hostId);
    this.#connections += 1;
    const sentMs = performance.now();
    const token = this.#identity.connectToken(clock.timeAt(sentMs));
    const { connection, time } = await Connection.open(hubUrl, token, { boot, connection: this.#connections }, version);
    if (time !== undefined) this.#takeTime(time, sentMs);
    this.#connection = connection;
    if (this.#isClosed) connection.close();
    log.info('connected', { hub: hubUrl, room: enrolment.room });
    this.#sendInventory(connection);
    const resync = setInterval(() => {
      this.syncClock().catch((error: unknown) => log.debug('asking for the time failed', { error: String(error) }));
    }, syncEveryMs);
    try {
      await this.#deliver(connection, enrolment, performance.now());
      return await connection.ended;
    } finally {
      clearInterval(resync);
      this.#sentBytes += connection.sentBytes;
      this.#connection = undefined;
    }
  }

  async #deliver(connection: Connection, enrolment: Enrolment, connectedMs: number): Promise<void> {
    const { boot, spool, clock, log } = this.#parts;
    this.#delivery = new Delivery({
      connection,
      room: enrolment.room,
      boot,
      spool,
      clock,
      log,
      connectedMs,
      syncClock: () => this.syncClock(),
      onDropped: (code) => this.#countDropped(code),
    });
    try {
      await this.#delivery.run();
    } finally {
      this.#delivery = undefined;
    }
  }

  #sendInventory(connection: Connection): void {
    const { inventory, log } = this.#parts;
    inventory()
      .then(async (data) => {
        if (data) await connection.request('rpc', JSON.stringify({ method: 'inventory', data }), inventoryPatienceMs);
      })
      .catch((error: unknown) => log.warn('the hub did not take the inventory', { error: String(error) }));
  }

  #countDropped(code: string): void {
    const count = (this.#dropped.get(code) ?? 0) + 1;
    this.#dropped.set(code, count);
    // The first and every doubling: a hub that refuses all must not fill the log.
    if ((count & (count - 1)) === 0) this.#parts.log.warn('the hub refused publications for good', { code, count });
  }

  /** How long to wait after a connection that stood. */
  #afterEnd(end: End, lastedMs: number): number {
    if (this.#isClosed) return 0;
    if (lastedMs > goodAfterMs) this.#failures = 0;
    return this.#afterClose(end);
  }

  #afterClose({ code, reason }: End): number {
    const { log } = this.#parts;
    if (code === closes.replaced.code) {
      log.warn(
        'another agent uses this identity; this one waits. If the machine was copied, remove the state folder of the copy and enrol it',
        {},
      );
      return jittered(replacedMs);
    }
    if (code === closes.permissionDenied.code || code === closes.invalidToken.code) {
      log.error('the hub does not know this host any more, or refuses its key; enrol it again with a new token', { code, reason });
      // A wrong clock makes tokens invalid too.
      this.#syncedMs = -Infinity;
      return jittered(refusedMs);
    }
    if ((code >= 3500 && code < 4000) || (code >= 4500 && code < 5000)) {
      log.error('the hub ended the connection for good', { code, reason });
      return jittered(replacedMs);
    }
    log.info('connection ended', { code, reason });
    return this.#backoffMs();
  }

  /** How long to wait after an attempt that did not lead to a connection. */
  #afterFailure(error: unknown): number {
    if (this.#isClosed) return 0;
    if (error instanceof Closed) return this.#afterClose(error.end);
    this.#syncedMs = -Infinity;
    const isFirst = this.#failures === 0;
    this.#parts.log[isFirst ? 'warn' : 'debug']('no connection to the hub; trying again', {
      hub: this.#parts.hubUrl,
      error: String(error),
    });
    const isFinal = error instanceof Refused && !error.isTemporary && error.code !== errors.tokenExpired.code;
    return isFinal ? jittered(replacedMs) : this.#backoffMs();
  }

  /** Full jitter, so that the agents of a hub that restarts do not come all at once. */
  #backoffMs(): number {
    const most = Math.min(lastRetryMs, firstRetryMs * 2 ** Math.min(10, this.#failures));
    this.#failures += 1;
    return firstRetryMs + Math.random() * most;
  }

  async #pause(ms: number): Promise<void> {
    if (this.#isClosed) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

const jittered = (ms: number): number => ms * (0.75 + Math.random() / 2);
