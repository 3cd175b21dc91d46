/** A small client of the wire protocol for tests that need every reply, push and close as it came. */

import { WebSocket } from 'ws';
import { until } from './until.ts';

export interface Reply {
  id: number;
  error?: { code: number; message: string; temporary?: boolean };
  // oxlint-disable-next-line typescript/no-explicit-any -- tests look into every shape of result
  [method: string]: any;
}

export interface Push {
  channel: string;
  pub?: { data: Record<string, unknown>; offset?: number; info?: unknown };
  join?: { info: unknown };
  leave?: { info: unknown };
  unsubscribe?: { code: number; reason: string };
}

export class RawClient {
  readonly ws: WebSocket;
  readonly pushes: Push[] = [];
  closed: { code: number; reason: string } | undefined;
  #id = 0;
  readonly #waiting = new Map<number, { resolve: (reply: Reply) => void; reject: (error: Error) => void }>();

  private constructor(ws: WebSocket) {
    this.ws = ws;
    ws.on('message', (data: Buffer) => {
      for (const line of data.toString().split('\n')) this.#read(line);
    });
    ws.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() };
      for (const { reject } of this.#waiting.values()) reject(new Error(`closed with ${code} ${reason.toString()}`));
      this.#waiting.clear();
    });
    ws.on('error', () => {});
  }

  /** Resolves when the socket is open, before `connect`. */
  static async open(url: string): Promise<RawClient> {
    const client = new RawClient(new WebSocket(url));
    await until(() => client.ws.readyState === WebSocket.OPEN || client.closed, 'the socket opens');
    return client;
  }

  static async connect(url: string, token: string, data?: unknown): Promise<RawClient> {
    const client = await RawClient.open(url);
    const reply = await client.call('connect', { token, data });
    if (reply.error) throw new Error(`connect: ${reply.error.code} ${reply.error.message}`);
    return client;
  }

  call(method: string, params: unknown): Promise<Reply> {
    const id = ++this.#id;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.ws.send(JSON.stringify({ id, [method]: params }));
    });
  }

  publish(channel: string, data: unknown): Promise<Reply> {
    return this.call('publish', { channel, data });
  }

  /** Data of publications pushed so far in a channel. */
  publications(channel: string): Record<string, unknown>[] {
    return this.pushes.filter((push) => push.channel === channel && push.pub).map((push) => push.pub!.data);
  }

  async close(): Promise<void> {
    this.ws.terminate();
    await until(() => this.closed, 'the socket is closed');
  }

  #read(line: string): void {
    const message = JSON.parse(line) as { id?: number; push?: Push };
    if (message.push) this.pushes.push(message.push);
    else if (message.id === undefined) this.ws.send('{}');
    else {
      this.#waiting.get(message.id)?.resolve(message as Reply);
      this.#waiting.delete(message.id);
    }
  }
}
