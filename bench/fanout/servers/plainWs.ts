/** A chat server as most tutorials write it: ws, a set of sockets per room, one JSON.stringify per client. */

import { type WebSocket, WebSocketServer } from 'ws';

const rooms = new Map<string, Set<WebSocket>>();
const server = new WebSocketServer({ port: Number(process.argv[2]), host: '127.0.0.1' });

server.on('connection', (socket) => {
  socket.on('message', (bytes: Buffer) => {
    const message = JSON.parse(bytes.toString()) as { join?: string; room?: string; data?: unknown };
    if (message.join !== undefined) {
      const members = rooms.get(message.join) ?? new Set();
      rooms.set(message.join, members.add(socket));
      socket.on('close', () => members.delete(socket));
      socket.send('{"joined":true}');
      return;
    }
    socket.send('{"taken":true}');
    for (const member of rooms.get(message.room ?? '') ?? []) member.send(JSON.stringify({ room: message.room, data: message.data }));
  });
});
