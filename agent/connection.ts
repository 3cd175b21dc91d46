/** One connection that speaks the hub's protocol: commands, replies, pings. */

import { openWebSocket, type End, type WebSocketClient } from './webSocket.ts';

const connectMs = 10_000;
/** Added to the server's ping interval before its silence counts as its end. */
const pingGraceMs = 10_000;
const usualPingS = 25;

/** An error reply. */
export class Refused extends Error {
  readonly code: number;
  readonly isTemporary: boolean;

  constructor(code: number, message: string, isTemporary: boolean) {
    super(`${code} ${message}`);
    this.code = code;
    this.isTemporary = isTemporary;
  }
}

/** No reply: it took too long, or the connection ended first. What was sent may have taken effect or not. */
export class Unanswered extends Error {}

interface Waiting {
  method: string;
  timer: NodeJS.Timeout;
  resolve: (result: Record<string, unknown>) => void;
  reject: (error: Error) => void;
}

export interface Connected {
  connection: Connection;
  /** Hub time in ms, where the hub told it. */
  time: number | undefined;
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Takes from the hub only replies to what it asked, pings, close frames. Pushes and replies too late are counted in `ignored`;
 * anything that is not an object of the protocol closes the connection: the hub has no way to make an agent do something.
 */
export class Connection {
  /** Resolves when the connection is over, never rejects. */
  readonly ended: Promise<End>;
  ignored = 0;
  #socket: WebSocketClient | undefined;
  #nextId = 1;
  readonly #waiting = new Map<number, Waiting>();
  #pingMs = usualPingS * 1000;
  #watchdog: NodeJS.Timeout | undefined;
  #isOver = false;
  #resolveEnded: (end: End) => void = () => {};

  private constructor() {
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
  }

  /** Connects to `<hubUrl>/connection/websocket`. Rejects with `Refused`, `Unanswered` or the network's error. */
  static async open(hubUrl: string, token: string, data: object, version: string): Promise<Connected> {
    const connection = new Connection();
    connection.#socket = await openWebSocket(`${hubUrl.replace(/^http/, 'ws')}/connection/websocket?compress=1`, {
      onText: (text) => connection.#receive(text),
      onAlive: () => connection.#alive(),
      onEnd: (end) => connection.#finish(end),
    });
    connection.#alive();
    try {
      const result = await connection.request('connect', JSON.stringify({ token, data, name: 'agent', version }), connectMs);
      const ping = result['ping'];
      if (typeof ping === 'number' && ping > 0) connection.#pingMs = ping * 1000;
      connection.#alive();
      return { connection, time: typeof result['time'] === 'number' ? result['time'] : undefined };
    } catch (error) {
      // A close frame says more than a missing reply.
      connection.close();
      const { code, reason } = await connection.ended;
      if (error instanceof Unanswered && code >= 3000) throw new Closed({ code, reason });
      throw error;
    }
  }

  get waitingBytes(): number {
    return this.#socket?.waitingBytes ?? 0;
  }

  get sentBytes(): number {
    return this.#socket?.sentBytes ?? 0;
  }

  get receivedBytes(): number {
    return this.#socket?.receivedBytes ?? 0;
  }

  /** Sends a command whose body is JSON text. Rejects with `Refused` or, after `patienceMs` or at the connection's end, `Unanswered`. */
  request(method: string, body: string, patienceMs: number): Promise<Record<string, unknown>> {
    if (this.#isOver) return Promise.reject(new Unanswered(`the connection ended before ${method}`));
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new Unanswered(`no reply to ${method} within ${patienceMs} ms`));
      }, patienceMs);
      this.#waiting.set(id, { method, timer, resolve, reject });
      this.#socket?.send(`{"id":${id},"${method}":${body}}`);
    });
  }

  close(): void {
    this.#socket?.close(1000, 'agent stops');
  }

  #alive(): void {
    clearTimeout(this.#watchdog);
    if (this.#isOver) return;
    this.#watchdog = setTimeout(() => this.#socket?.abort('no sign of life'), this.#pingMs + pingGraceMs);
  }

  #receive(text: string): void {
    for (const line of text.split('\n')) {
      if (line === '') continue;
      const message: unknown = JSON.parse(line);
      if (!isRecord(message)) throw new Error('not an object of the protocol');
      if (typeof message['id'] === 'number' && message['id'] > 0) this.#reply(message['id'], message);
      else if (Object.keys(message).length === 0) this.#socket?.send('{}');
      else this.ignored += 1;
    }
  }

  #reply(id: number, message: Record<string, unknown>): void {
    const waiting = this.#waiting.get(id);
    if (!waiting) {
      this.ignored += 1;
      return;
    }
    this.#waiting.delete(id);
    clearTimeout(waiting.timer);
    const { error } = message;
    const result = message[waiting.method];
    if (isRecord(error)) {
      waiting.reject(new Refused(Number(error['code']), String(error['message']).slice(0, 300), error['temporary'] === true));
    } else if (isRecord(result)) waiting.resolve(result);
    else waiting.reject(new Unanswered(`the reply to ${waiting.method} has no result`));
  }

  #finish(end: End): void {
    this.#isOver = true;
    clearTimeout(this.#watchdog);
    for (const { timer, reject, method } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(new Unanswered(`the connection ended before the reply to ${method}`));
    }
    this.#waiting.clear();
    this.#resolveEnded(end);
  }
}

/** The hub closed the connection instead of answering. */
export class Closed extends Error {
  readonly end: End;

  constructor(end: End) {
    super(`closed with ${end.code} ${end.reason}`);
    this.end = end;
  }
}
