/** Starts the protocol layer alone, for client suites of others: `npm run conformance`. */

import { readPort } from '../config.ts';
import { startConformance, type ConformanceServer } from './server.ts';

async function start(): Promise<ConformanceServer | undefined> {
  try {
    return await startConformance({ port: readPort(8000), host: '0.0.0.0' });
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
