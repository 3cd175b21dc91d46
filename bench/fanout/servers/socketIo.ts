/** A socket.io server as its documentation writes it: rooms, an event that is broadcast into one, the Redis adapter for two servers. */

import { createServer } from 'node:http';
import { createAdapter } from '@socket.io/redis-adapter';
import { Redis } from 'ioredis';
import { Server } from 'socket.io';

const server = createServer();
const io = new Server(server, { serveClient: false });
const redisPort = process.argv[3];
if (redisPort !== undefined) {
  const talking = new Redis(Number(redisPort), '127.0.0.1');
  io.adapter(createAdapter(talking, talking.duplicate()));
}

io.on('connection', (socket) => {
  const { from, rooms } = socket.handshake.auth as { from?: number; rooms?: number };
  if (from !== undefined) void socket.join(Array.from({ length: rooms ?? 1 }, (_, at) => `room${from + at}`));
  socket.on('publish', (room: string, data: unknown, taken: () => void) => {
    io.to(room).emit('publication', data);
    taken();
  });
});
server.listen(Number(process.argv[2]), '127.0.0.1');
