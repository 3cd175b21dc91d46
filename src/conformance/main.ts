/** Starts the protocol layer alone, for client suites of others: `npm run conformance`, with `-- --replicas 2` and REDIS_URL several behind one port. */

import { parseArgs } from 'node:util';
import { ConfigError, readConfig, readPort } from '../config.ts';
import { startConformanceReplicas, type ReplicatedServer } from './replicas.ts';
import { startConformance } from './server.ts';

const mostReplicas = 16;

async function start(): Promise<ReplicatedServer | undefined> {
  try {
    const { values } = parseArgs({ options: { replicas: { type: 'string', default: '1' } } });
    const [port, host, replicas] = [readPort(8000), '0.0.0.0', Number(values.replicas)];
    if (!Number.isInteger(replicas) || replicas < 1 || replicas > mostReplicas)
      throw new ConfigError([`--replicas: ${JSON.stringify(values.replicas)} is not a number from 1 to ${mostReplicas}`]);
    if (replicas === 1) return await startConformance({ port, host });
    const { redis } = readConfig();
    if (!redis) throw new ConfigError(['REDIS_URL: is not set; several replicas hear each other through Redis']);
    return await startConformanceReplicas({ port, host, replicas, redis });
  } catch (error) {
    const { message, code, port } = error as NodeJS.ErrnoException & { port?: number };
    process.stderr.write(code === 'EADDRINUSE' ? `Port ${port} is taken; set PORT to a free one.\n` : `${message}\n`);
    process.exitCode = 1;
    return undefined;
  }
}

const server = await start();
if (server) {
  process.stdout.write(`conformance server: ${server.webSocketUrl}\n`);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      void server.close().then(() => process.exit(0));
    });
  }
}
