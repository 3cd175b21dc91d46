/** The hub itself: gateway, tokens, permissions, checks, positions. */

import { resolve } from 'node:path';
import { startServer } from '../../support/processes.ts';
import type { Peer } from '../peer.ts';
import { benchTokens, hostOf, hostPattern, person, roomBase } from '../servers/hostroomRooms.ts';

const program = resolve(import.meta.dirname, '..', 'servers', 'hostroom.ts');
const { accessToken } = await benchTokens().issue(person, person);
const connect = `{"id":1,"connect":{"token":"${accessToken}"}}`;

export const hostroom: Peer = {
  name: 'hostroom',
  missing: () => undefined,
  // With the young generation of `npm run hub`.
  start: (port) => startServer([process.execPath, '--max-semi-space-size=8', program, String(port)], port),
  wiring: (message) => ({
    args: [
      ...['--path', '/connection/websocket', '--room-base', String(roomBase)],
      ...['--hello', `${connect}\n{"id":2,"subscribe":{"channel":"host:${hostPattern}"}}`, '--joined', '"id":2,"subscribe"'],
      ...['--publisher-hello', connect, '--publisher-joined', '"id":1', '--ping', '{}', '--pong', '{}'],
      ...['--message', `{"id":@N@@@@@@@@,"publish":{"channel":"host:${hostOf(roomBase)}","data":${message}}}`],
    ],
  }),
};
