/** The hub itself: gateway, tokens, permissions, checks, positions. */

import { resolve } from 'node:path';
import { freePort, startRedis, startServer, together } from '../../support/processes.ts';
import type { Peer } from '../peer.ts';
import { benchTokens, hostPattern, person } from '../servers/hostroomRooms.ts';

const program = resolve(import.meta.dirname, '..', 'servers', 'hostroom.ts');
const { accessToken } = await benchTokens().issue(person, person);
const connect = `{"id":1,"connect":{"token":"${accessToken}"}}`;
const subscribe = `{"id":2,"subscribe":{"channel":"host:${hostPattern}"}}`;

/** With the young generation of `npm run hub`. */
const command = [process.execPath, '--max-semi-space-size=8', program];

/** How the clients of the hub speak, whatever carries it. */
export const wiring: Peer['wiring'] = (message) => ({
  args: [
    ...['--path', '/connection/websocket'],
    ...['--hello', `${connect}\n${subscribe}`, '--joined', '"id":2,"subscribe"'],
    ...['--publisher-hello', connect, '--publisher-joined', '"id":1', '--ping', '{}', '--pong', '{}'],
    ...['--message', `{"id":@N@@@@@@@@,"publish":{"channel":"host:${hostPattern.replace('%d', '@R@@')}","data":${message}}}`],
  ],
  watch: (rooms) => ['--watch-hello', connect, '--watch-each', subscribe, '--watch-joins', String(rooms)],
});

export const hostroom: Peer = {
  name: 'hostroom',
  missing: () => undefined,
  start: (port) => startServer([...command, String(port)], port),
  startPair: async (port) => {
    const redis = await startRedis();
    const other = await freePort();
    const replicas = [port, other].map((each) => startServer([...command, String(each), String(redis.port)], each));
    return together([...(await Promise.all(replicas)), redis]);
  },
  wiring,
};
