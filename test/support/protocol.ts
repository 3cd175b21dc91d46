/** Runs the protocol layer for a test, and talks to it as SDK clients or as raw sockets do. */

import { connect as connectTcp, type Socket } from 'node:net';
import { randomBytes } from 'node:crypto';
import { Centrifuge, type Options, type Subscription } from 'centrifuge';
import { SignJWT } from 'jose';
import { onTestFinished, test } from 'vitest';
import { WebSocket, type ClientOptions } from 'ws';
import { startConformanceReplicas } from '../../src/conformance/replicas.ts';
import { startConformance, tokenSecret, type ConformanceOptions, type ConformanceServer } from '../../src/conformance/server.ts';
import { parseRedisAddress } from '../../src/lib/redisAddress.ts';
import { BrowserSocket } from './browserSocket.ts';
import { until } from './until.ts';

/** A line of JSON or an event of the SDK, whose fields the tests pick apart. */
// oxlint-disable-next-line typescript/no-explicit-any -- describing every shape here would repeat what is under test
export type Loose = any;

/** The Redis that joins the replicas which `serve` starts behind a proxy, in place of one alone. */
let joinedBy: (() => string) | undefined;
const replicas = 2;

/** From now on all tests of this file that `serve` run through a round-robin proxy over two replicas; `redisUrl` is asked when they run. */
export function serveReplicas(redisUrl: () => string): void {
  joinedBy = redisUrl;
}

/** A test whose figures hold for one replica: several agree on them within a second. */
export function testAlone(name: string, run: () => Promise<void>): void {
  if (!joinedBy) test(name, run);
}

export async function serve(options: Partial<ConformanceOptions> = {}): Promise<ConformanceServer> {
  const all = { port: 0, ...options };
  const redis = joinedBy && parseRedisAddress(joinedBy());
  // The suites that run on both ask no more of several than they have.
  const together = redis && ((await startConformanceReplicas({ ...all, replicas, redis })) as ConformanceServer);
  const server = together ?? (await startConformance(all));
  onTestFinished(() => server.close());
  return server;
}

/** The published SDK, not yet connected; disconnects itself at the end of the test. */
export function sdk(server: ConformanceServer, options: Partial<Options> = {}, query = ''): Centrifuge {
  const client = new Centrifuge(server.webSocketUrl + query, {
    websocket: BrowserSocket,
    minReconnectDelay: 20,
    maxReconnectDelay: 50,
    ...options,
  });
  onTestFinished(() => client.disconnect());
  return client;
}

/** Everything a subscription tells, in order, as `[event, …]`. */
export function record(subscription: Subscription): { events: [string, Loose][]; data: () => unknown[] } {
  const events: [string, Loose][] = [];
  for (const name of ['subscribing', 'subscribed', 'unsubscribed', 'publication', 'join', 'leave', 'error'] as const)
    subscription.on(name, (context: unknown) => events.push([name, context]));
  return { events, data: () => events.filter(([name]) => name === 'publication').map(([, context]) => context.data) };
}

/** The next event of that name. */
export function next<T = Loose>(emitter: { once(name: Loose, then: (context: Loose) => void): unknown }, name: string): Promise<T> {
  return new Promise((resolve) => emitter.once(name, resolve));
}

/** A token as the open policy takes it. */
export async function token(claims: Record<string, unknown>, secret = tokenSecret): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(new TextEncoder().encode(secret));
}

export const seconds = (fromNow: number): number => Math.floor(Date.now() / 1000) + fromNow;

export interface Raw {
  ws: WebSocket;
  /** Every line received, parsed. */
  lines: Loose[];
  /** Every frame received, as text. */
  frames: string[];
  send(...commands: unknown[]): void;
  /** Resolves with the first line, received or to come, that fits. */
  line(fits: (line: Loose) => boolean): Promise<Loose>;
  reply(id: number): Promise<Loose>;
  closed: Promise<{ code: number; reason: string }>;
}

/** A WebSocket without SDK; answers no pings of the protocol by itself. */
export async function raw(url: string, options: ClientOptions = {}, protocols: string[] = []): Promise<Raw> {
  const ws = new WebSocket(url, protocols, options);
  const lines: Loose[] = [];
  const frames: string[] = [];
  ws.on('message', (data: Buffer) => {
    frames.push(data.toString());
    for (const line of data.toString().split('\n')) lines.push(JSON.parse(line));
  });
  ws.on('error', () => undefined);
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    ws.once('close', (code, reason) => resolve({ code, reason: reason.toString() }));
  });
  onTestFinished(() => ws.terminate());
  await new Promise<void>((resolve, reject) => {
    ws.once('open', resolve);
    ws.once('error', reject);
  });
  const line: Raw['line'] = (fits) => until(() => lines.find(fits), `a line that fits ${fits}`);
  return {
    ws,
    lines,
    frames,
    line,
    closed,
    send: (...commands) => ws.send(commands.map((command) => (typeof command === 'string' ? command : JSON.stringify(command))).join('\n')),
    reply: (id) => line((one) => one.id === id),
  };
}

/** A raw client that has connected and, where named, subscribed. */
export async function rawConnected(server: ConformanceServer, channel?: string, options: ClientOptions = {}): Promise<Raw> {
  const client = await raw(server.webSocketUrl, options);
  client.send({ id: 1, connect: {} }, ...(channel ? [{ id: 2, subscribe: { channel } }] : []));
  await client.reply(channel ? 2 : 1);
  return client;
}

export interface Tcp {
  socket: Socket;
  /** All bytes after the upgrade's answer. */
  received: () => Buffer;
  /** The close frame's code; undefined while there is none, 1006 if the connection ended without one. */
  closeCode: () => number | undefined;
  status: number;
}

/** A plain socket that has upgraded (or was refused), for frames that no library would send. */
export async function tcp(server: Pick<ConformanceServer, 'url'>, headers: string[] = [], query = ''): Promise<Tcp> {
  const { port, hostname } = new URL(server.url);
  const socket = connectTcp(Number(port), hostname);
  onTestFinished(() => void socket.destroy());
  const chunks: Buffer[] = [];
  let ended = false;
  socket.on('data', (chunk) => chunks.push(chunk as Buffer));
  socket.on('error', () => (ended = true));
  socket.on('close', () => (ended = true));
  const key = randomBytes(16).toString('base64');
  const head = [
    `GET /connection/websocket${query} HTTP/1.1`,
    `Host: ${hostname}:${port}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
  ];
  socket.write([...head, `Sec-WebSocket-Key: ${key}`, ...headers, '', ''].join('\r\n'));
  const all = (): Buffer => Buffer.concat(chunks);
  await until(() => ended || all().includes('\r\n\r\n'), 'an answer to the upgrade');
  const status = Number(all().toString('latin1', 9, 12));
  const received = (): Buffer => all().subarray(all().indexOf('\r\n\r\n') + 4);
  return { socket, received, status, closeCode: () => closeCode(received()) ?? (ended ? 1006 : undefined) };
}

function closeCode(bytes: Buffer): number | undefined {
  for (let at = 0; at + 2 <= bytes.length;) {
    const short = bytes[at + 1]! & 0x7f;
    const header = short === 126 ? 4 : short === 127 ? 10 : 2;
    const length = short === 126 ? bytes.readUInt16BE(at + 2) : short === 127 ? Number(bytes.readBigUInt64BE(at + 2)) : short;
    if ((bytes[at]! & 0x0f) === 8) return length >= 2 ? bytes.readUInt16BE(at + header) : 1005;
    at += header + length;
  }
  return undefined;
}

/** One client frame. @param first the first byte: FIN, RSV and opcode */
export function clientFrame(first: number, payload: Buffer | string = '', options: { masked?: boolean; length?: number } = {}): Buffer {
  const { masked = true } = options;
  const body = typeof payload === 'string' ? Buffer.from(payload) : payload;
  const length = options.length ?? body.length;
  const bit = masked ? 0x80 : 0;
  const size =
    length < 126
      ? Buffer.from([bit | length])
      : length < 65_536
        ? Buffer.from([bit | 126, length >> 8, length & 0xff])
        : longSize(bit, length);
  // A mask of zeros leaves the payload readable in a capture and is as valid as any.
  return Buffer.concat([Buffer.from([first]), size, masked ? Buffer.alloc(4) : Buffer.alloc(0), body]);
}

function longSize(bit: number, length: number): Buffer {
  const size = Buffer.alloc(9);
  size[0] = bit | 127;
  size.writeBigUInt64BE(BigInt(length), 1);
  return size;
}
