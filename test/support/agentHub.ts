/** A hub of the agent's side of the contract, over real HTTP and WebSocket, whose answers a test decides. */

import { createPublicKey, randomUUID, verify } from 'node:crypto';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';
import type { AgentPublication } from '../../src/protocol/kinds.ts';

export interface ErrorReply {
  code: number;
  message: string;
  temporary?: boolean;
}

/** One accepted connection of an agent. */
export interface Arrival {
  boot: string;
  connection: number;
  socket: WebSocket;
  published: AgentPublication[];
  backfilled: AgentPublication[][];
}

export interface AgentHub {
  url: string;
  hubId: string;
  arrivals: Arrival[];
  /** Publications answered with success, in the order of their commit. */
  committed: AgentPublication[];
  /** Enrolment requests taken, by token. */
  enrolled: { token: string; publicKey: Record<string, string>; hostId: string; name: string }[];
  inventories: unknown[];
  /** Bytes of all TCP connections so far, both directions, without IP and TCP headers. */
  traffic(): { received: number; sent: number };
  /** Faults of what agents sent. */
  faults: string[];
  /** What a test may turn at any time. */
  behaviour: {
    /** Milliseconds added to this machine's clock. */
    timeShiftMs: number;
    /** undefined: commit; null: never answer; otherwise the error. */
    onPublish: (publication: AgentPublication) => ErrorReply | undefined | null;
    onBackfill: (publications: AgentPublication[]) => ErrorReply | { committed: number; refused: object[] } | undefined;
    /** Close instead of accepting. */
    onConnect: (arrival: Arrival) => { code: number; reason: string } | undefined;
    tokens: Set<string>;
    pingMs: number;
    pings: boolean;
  };
  close(): Promise<void>;
}

const read = async (request: IncomingMessage): Promise<string> => {
  let text = '';
  for await (const part of request) text += String(part);
  return text;
};

/** With `tls` it speaks https, as `localhost`. */
export async function startAgentHub(port = 0, tls?: { key: string; cert: string }): Promise<AgentHub> {
  const hub: AgentHub = {
    url: '',
    hubId: randomUUID(),
    arrivals: [],
    committed: [],
    enrolled: [],
    inventories: [],
    traffic: () => {
      const total = { ...ended };
      for (const socket of sockets) {
        total.received += socket.bytesRead;
        total.sent += socket.bytesWritten;
      }
      return total;
    },
    faults: [],
    behaviour: {
      timeShiftMs: 0,
      onPublish: () => undefined,
      onBackfill: () => undefined,
      onConnect: () => undefined,
      tokens: new Set(['token']),
      pingMs: 25_000,
      pings: true,
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  const sockets = new Set<Socket>();
  const ended = { received: 0, sent: 0 };
  const now = (): number => Date.now() + hub.behaviour.timeShiftMs;

  const listener: RequestListener = (request, response) => {
    const answer = (status: number, body: object): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    if (request.url === '/api/v1/time') answer(200, { time: now() });
    else if (request.url === '/api/v1/agents/enrol') {
      void read(request).then((text) => {
        const { token, publicKey, name } = JSON.parse(text);
        if (!hub.behaviour.tokens.has(token))
          return answer(410, { code: 'token_used', title: 'This token was used already or has expired.' });
        if ('d' in publicKey) hub.faults.push('the private key left the agent');
        const before = hub.enrolled.find((one) => one.token === token && one.publicKey.x === publicKey.x);
        const hostId = before?.hostId ?? randomUUID();
        if (!before) hub.enrolled.push({ token, publicKey, name, hostId });
        answer(200, { hostId, room: `host:${hostId}`, hub: hub.hubId, time: now() });
      });
    } else answer(404, { code: 'not_found', title: 'There is no such thing.' });
  };
  const server = tls ? createTlsServer(tls, listener) : createServer(listener);
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => {
      sockets.delete(socket);
      ended.received += socket.bytesRead;
      ended.sent += socket.bytesWritten;
    });
  });

  const upgrades = new WebSocketServer({
    server,
    path: '/connection/websocket',
    perMessageDeflate: { clientNoContextTakeover: true, serverNoContextTakeover: true, threshold: 1024 },
  });
  upgrades.on('connection', (socket) => {
    let arrival: Arrival | undefined;
    const ping = setInterval(() => hub.behaviour.pings && arrival && socket.send('{}'), hub.behaviour.pingMs);
    socket.on('close', () => clearInterval(ping));
    socket.on('message', (data) => {
      for (const line of String(data).split('\n')) {
        const command = JSON.parse(line);
        const reply = (result: object): void => socket.send(JSON.stringify({ id: command.id, ...result }));
        if (command.connect) {
          const fault = checkToken(command.connect.token, now());
          if (fault) {
            hub.faults.push(fault);
            return socket.close(3500, 'invalid token');
          }
          arrival = { ...command.connect.data, socket, published: [], backfilled: [] } as Arrival;
          hub.arrivals.push(arrival);
          const end = hub.behaviour.onConnect(arrival);
          if (end) return socket.close(end.code, end.reason);
          reply({ connect: { client: randomUUID(), version: 'test', ping: hub.behaviour.pingMs / 1000, pong: true, time: now() } });
        } else if (!arrival) socket.close(3501, 'bad request');
        else if (command.publish) {
          arrival.published.push(command.publish.data);
          const verdict = hub.behaviour.onPublish(command.publish.data);
          if (verdict === undefined) {
            hub.committed.push(command.publish.data);
            reply({ publish: {} });
          } else if (verdict) reply({ error: verdict });
        } else if (command.rpc?.method === 'backfill') {
          const { publications } = command.rpc.data;
          arrival.backfilled.push(publications);
          const verdict = hub.behaviour.onBackfill(publications);
          if (verdict && 'message' in verdict) return reply({ error: verdict });
          if (!verdict) hub.committed.push(...publications);
          reply({ rpc: { data: verdict ?? { committed: publications.length, refused: [] } } });
        } else if (command.rpc?.method === 'inventory') {
          hub.inventories.push(command.rpc.data);
          reply({ rpc: { data: {} } });
        } else if (Object.keys(command).length > 0) hub.faults.push(`unexpected command ${line}`);
      }
    });
  });

  /** The fault of a connect token, or undefined. */
  function checkToken(token: string, time: number): string | undefined {
    const [head, body, signature] = token.split('.');
    const json = (part: string | undefined): unknown => JSON.parse(Buffer.from(part ?? '', 'base64url').toString());
    const header = json(head) as { alg: string; typ: string; kid: string };
    const claims = json(body) as { sub: string; aud: string; jti: string; iat: number; exp: number };
    const host = hub.enrolled.findLast((one) => one.hostId === header.kid);
    if (!host) return 'unknown host';
    const key = createPublicKey({ key: host.publicKey, format: 'jwk' });
    if (!verify(null, Buffer.from(`${head}.${body}`), key, Buffer.from(signature ?? '', 'base64url'))) return 'bad signature';
    if (header.alg !== 'EdDSA' || header.typ !== 'agent+jwt') return 'wrong header';
    if (claims.sub !== host.hostId || claims.aud !== hub.hubId || !claims.jti) return 'wrong claims';
    if (claims.exp > claims.iat + 300 || claims.iat * 1000 > time + 5_000 || claims.exp * 1000 < time) return 'wrong times';
    return undefined;
  }

  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  hub.url = `${tls ? 'https://localhost' : 'http://127.0.0.1'}:${(server.address() as AddressInfo).port}`;
  return hub;
}
