/** ws with one JSON.stringify per client. */

import { resolve } from 'node:path';
import { startServer } from '../../support/processes.ts';
import type { Peer } from '../peer.ts';

const program = resolve(import.meta.dirname, '..', 'servers', 'plainWs.ts');

export const plainWs: Peer = {
  name: 'plain ws',
  missing: () => undefined,
  start: (port) => startServer([process.execPath, program, String(port)], port),
  wiring: (message) => ({
    args: [
      ...['--path', '/', '--hello', '{"join":"room%d"}', '--joined', '"joined"'],
      ...['--message', `{"room":"room@R@@","data":${message}}`],
    ],
    watch: (rooms) => ['--watch-hello', '{}', '--watch-each', '{"join":"room%d"}', '--watch-joins', String(rooms)],
  }),
};
