/** socket.io 4 over WebSocket. */

import { resolve } from 'node:path';
import { startServer } from '../../support/processes.ts';
import type { Peer } from '../peer.ts';

const program = resolve(import.meta.dirname, '..', 'servers', 'socketIo.ts');

export const socketIo: Peer = {
  name: 'socket.io',
  missing: () => undefined,
  start: (port) => startServer([process.execPath, program, String(port)], port),
  wiring: (message) => ({
    args: [
      ...[
        '--path',
        '/socket.io/?EIO=4&transport=websocket',
        '--hello',
        '40{"room":"room%d"}',
        '--joined',
        '40{',
        '--ping',
        '2',
        '--pong',
        '3',
      ],
      ...['--publisher-hello', '40', '--publisher-joined', '40{', '--message', `42["publish",${message}]`],
    ],
  }),
};
