/** The kernel floor: what handing a message to many sockets costs at least, with one send() each or with joined ones. */

import { compileNative } from '../../support/native.ts';
import { isInstalled, startServer } from '../../support/processes.ts';
import type { Peer } from '../peer.ts';

function floor(name: string, ...more: string[]): Peer {
  return {
    name,
    missing: () => (isInstalled('cc', '--version') ? undefined : 'apt-get install build-essential'),
    start: (port, messageBytes) => startServer([compileNative('floor'), String(port), String(messageBytes), ...more], port),
    wiring: (message) => ({
      args: ['--raw', '--hello', 'S', '--joined', 'ok', '--publisher-hello', 'P', '--publisher-joined', 'ok', '--message', message],
    }),
  };
}

export const kernelFloor = floor('kernel floor');
export const coalescingFloor = floor('coalescing floor', 'coalesce');
