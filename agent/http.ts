/** Asks the hub over HTTP/1.1 for small JSON answers. */

// Not node:http: since Node 24 it brings some 17 MB into memory, as much as all the rest of the agent.

import { connect, isIP, type Socket } from 'node:net';

const patienceMs = 10_000;
const maxHeadBytes = 16 * 1024;
const maxAnswerBytes = 64 * 1024;

/** The hub answered, but not with success. `code` is the stable one of its problem document. */
export class HubRefusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, detail: string) {
    super(`${status} ${detail}`);
    this.name = 'HubRefusal';
    this.status = status;
    this.code = code;
  }
}

export interface Answer {
  status: number;
  /** By lower-case name; of several of one name, joined by commas. */
  headers: ReadonlyMap<string, string>;
  socket: Socket;
  /** What came after the headers so far. */
  rest: Buffer;
}

/** A connected socket; TLS is loaded only where it is used, and always checks the certificate. */
async function open(url: URL): Promise<Socket> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (url.protocol === 'http:') return connect({ host, port: Number(url.port || 80) });
  const tls = await import('node:tls');
  const servername = isIP(host) === 0 ? host : undefined;
  return tls.connect({ host, port: Number(url.port || 443), servername, ALPNProtocols: ['http/1.1'] });
}

/** Sends one request on a connection of its own and gives the answer once its headers are there. The caller ends the socket. */
export async function ask(url: URL, method: string, headers: Record<string, string>, body = ''): Promise<Answer> {
  const socket = await open(url);
  const lines = [`${method} ${url.pathname}${url.search} HTTP/1.1`, `host: ${url.host}`];
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  socket.write(`${lines.join('\r\n')}\r\n\r\n${body}`);
  return new Promise<Answer>((resolve, reject) => {
    let received: Buffer = Buffer.alloc(0);
    const timer = setTimeout(() => fail(new Error('the hub does not answer')), patienceMs);
    const settle = (): void => {
      clearTimeout(timer);
      socket.off('data', onData).off('error', fail).off('close', onClose);
    };
    const fail = (error: Error): void => {
      settle();
      // Whatever still happens on it concerns nobody.
      socket.on('error', () => {}).destroy();
      reject(error);
    };
    const onClose = (): void => fail(new Error('the hub closed the connection without an answer'));
    const onData = (chunk: Buffer): void => {
      received = Buffer.concat([received, chunk]);
      try {
        const answer = parseHead(received);
        if (answer) {
          settle();
          socket.pause();
          resolve({ ...answer, socket });
        } else if (received.length > maxHeadBytes) fail(new Error('the answer is not that of a hub'));
      } catch (error) {
        fail(error instanceof Error ? error : new Error(String(error)));
      }
    };
    socket.on('data', onData).on('error', fail).on('close', onClose);
  });
}

/** Undefined while the headers are not complete. Interim answers (100 to 199 but 101) are skipped. */
function parseHead(received: Buffer): Omit<Answer, 'socket'> | undefined {
  const end = received.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [first, ...lines] = received.toString('latin1', 0, end).split('\r\n');
  const status = Number(/^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(first ?? '')?.[1]);
  if (!status) throw new Error('the answer is not HTTP; check HUB_URL');
  const rest = received.subarray(end + 4);
  if (status < 200 && status !== 101) return parseHead(rest);
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (colon > 0) headers.set(name, headers.has(name) ? `${headers.get(name)}, ${value}` : value);
  }
  return { status, headers, rest };
}

/** The body's text: by its length, in chunks, or up to the connection's end. */
async function readBody({ headers, socket, rest }: Answer): Promise<string> {
  const isChunked = /\bchunked$/i.test(headers.get('transfer-encoding') ?? '');
  const length = headers.has('content-length') ? Number(headers.get('content-length')) : undefined;
  let body: Buffer = rest;
  const isComplete = (): boolean => (isChunked ? dechunked(body) !== undefined : length !== undefined && body.length >= length);
  socket.setTimeout(patienceMs, () => socket.destroy(new Error('the hub does not finish its answer')));
  if (!isComplete()) {
    for await (const chunk of socket) {
      body = Buffer.concat([body, chunk as Buffer]);
      if (body.length > maxAnswerBytes) throw new Error('the answer is too long to come from a hub');
      if (isComplete()) break;
    }
  }
  if (!isComplete() && (isChunked || length !== undefined)) throw new Error('the hub broke its answer off');
  return (isChunked ? dechunked(body)! : body.subarray(0, length)).toString();
}

/** Undefined while the last chunk is missing. */
function dechunked(body: Buffer): Buffer | undefined {
  const parts: Buffer[] = [];
  let offset = 0;
  for (;;) {
    const end = body.indexOf('\r\n', offset);
    if (end < 0) return undefined;
    const size = Number.parseInt(body.toString('latin1', offset, end), 16);
    if (!(size >= 0)) throw new Error('the answer is broken');
    if (size === 0) return Buffer.concat(parts);
    offset = end + 2 + size + 2;
    if (body.length < offset) return undefined;
    parts.push(body.subarray(end + 2, end + 2 + size));
  }
}

/** The parsed answer. Rejects with `HubRefusal`, or with the network's error. */
export async function askHub(url: string, body?: object): Promise<unknown> {
  const text = body === undefined ? '' : JSON.stringify(body);
  const headers: Record<string, string> = { accept: 'application/json', connection: 'close' };
  if (body !== undefined) Object.assign(headers, { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(text)) });
  const answer = await ask(new URL(url), body === undefined ? 'GET' : 'POST', headers, text);
  const { status, socket } = answer;
  let json: unknown;
  try {
    json = parse(await readBody(answer));
  } finally {
    socket.on('error', () => {}).destroy();
  }
  if (status >= 200 && status < 300 && json !== undefined) return json;
  const problem = typeof json === 'object' && json !== null ? (json as Record<string, unknown>) : {};
  const detail =
    problem['detail'] ?? problem['title'] ?? (json === undefined ? 'the answer is not that of a hub; check HUB_URL' : 'refused');
  throw new HubRefusal(status, typeof problem['code'] === 'string' ? problem['code'] : '', String(detail).slice(0, 300));
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
