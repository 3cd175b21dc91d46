/** The hub itself: gateway, tokens, room policy, checks, positions. */

import { resolve } from 'node:path';
import { startServer } from '../../support/processes.ts';
import type { Peer } from '../peer.ts';

const program = resolve(import.meta.dirname, '..', 'servers', 'hostroom.ts');

export const hostroom: Peer = {
  name: 'hostroom',
  missing: () => undefined,
  start: (port) => startServer([process.execPath, program, String(port)], port),
  wiring: (message) => ({
    args: [
      ...['--path', '/connection/websocket', '--hello', '{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"room%d"}}'],
      ...[
        '--joined',
        '"id":2',
        '--publisher-hello',
        '{"id":1,"connect":{}}',
        '--publisher-joined',
        '"id":1',
        '--ping',
        '{}',
        '--pong',
        '{}',
      ],
      ...['--message', `{"id":@N@@@@@@@@,"publish":{"channel":"room0","data":${message}}}`],
    ],
  }),
};
