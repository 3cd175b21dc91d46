/** socket.io 4 over WebSocket. */

import { resolve } from 'node:path';
import { freePort, startRedis, startServer, together } from '../../support/processes.ts';
import type { Peer } from '../peer.ts';

const program = resolve(import.meta.dirname, '..', 'servers', 'socketIo.ts');

export const socketIo: Peer = {
  name: 'socket.io',
  missing: () => undefined,
  start: (port) => startServer([process.execPath, program, String(port)], port),
  startPair: async (port) => {
    const redis = await startRedis();
    const other = await freePort();
    const replicas = [port, other].map((each) => startServer([process.execPath, program, String(each), String(redis.port)], each));
    return together([...(await Promise.all(replicas)), redis]);
  },
  wiring: (message) => ({
    args: [
      ...[
        '--path',
        '/socket.io/?EIO=4&transport=websocket',
        '--hello',
        '40{"from":%d,"rooms":1}',
        '--joined',
        '40{',
        '--ping',
        '2',
        '--pong',
        '3',
      ],
      ...['--publisher-hello', '40', '--publisher-joined', '40{', '--message', `42@N@@@@@@@@["publish","room@R@@",${message}]`],
    ],
    watch: (rooms) => ['--watch-hello', `40{"from":%d,"rooms":${rooms}}`],
  }),
};
