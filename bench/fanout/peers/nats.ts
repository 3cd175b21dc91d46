/** NATS with its WebSocket listener, written in Go. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, isInstalled, startServer } from '../../support/processes.ts';
import type { Peer } from '../peer.ts';

export const nats: Peer = {
  name: 'NATS',
  missing: () => (isInstalled('nats-server', '--version') ? undefined : 'apt-get install nats-server'),
  start: async (port) => {
    const folder = mkdtempSync(join(tmpdir(), 'hostroom-nats-'));
    const config = join(folder, 'nats.conf');
    const plainPort = await freePort();
    writeFileSync(
      config,
      `listen: 127.0.0.1:${plainPort}\nmax_connections: 20000\nping_interval: "1h"\nwebsocket { listen: "127.0.0.1:${port}", no_tls: true }\n`,
    );
    const server = await startServer(['/usr/sbin/nats-server', '-c', config], port);
    return {
      ...server,
      close: async () => {
        await server.close();
        rmSync(folder, { recursive: true, force: true });
      },
    };
  },
  wiring: (message) => {
    const hello = 'CONNECT {"verbose":false,"pedantic":false}\r\n';
    // A frame holds any part of the stream, so messages are counted by their size in it.
    const unitBytes = `MSG room1000 1000 ${message.length}\r\n`.length + message.length + 2;
    return {
      args: [
        ...['--path', '/', '--binary', '--hello', `${hello}SUB room%d %d\r\nPING\r\n`, '--joined', 'PONG'],
        ...['--publisher-hello', `${hello.replace('false', 'true')}PING\r\n`, '--publisher-joined', 'PONG'],
        ...['--ping', 'PING\r\n', '--pong', 'PONG\r\n', '--unit-bytes', String(unitBytes)],
        // The server's first PING, a few seconds after the start, must not stand between messages.
        ...['--settle-ms', '4000', '--message', `PUB room@R@@ ${message.length}\r\n${message}\r\n`],
      ],
      watch: () => ['--watch-hello', hello, '--watch-each', 'SUB room%d %d\r\n', '--watch-end', 'PING\r\n'],
    };
  },
};
