/** A socket.io server as its documentation writes it: rooms, and an event that is broadcast into one. */

import { createServer } from 'node:http';
import { Server } from 'socket.io';

const server = createServer();
const io = new Server(server, { serveClient: false });

io.on('connection', (socket) => {
  const room = (socket.handshake.auth as { room?: string }).room;
  if (room !== undefined) void socket.join(room);
  socket.on('publish', (data: unknown) => io.to('room0').emit('publication', data));
});
server.listen(Number(process.argv[2]), '127.0.0.1');
