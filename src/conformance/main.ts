/** Starts the protocol layer alone, for client suites of others: `npm run conformance`. */

import { readPort } from '../config.ts';
import { startConformance } from './server.ts';

const server = await startConformance({ port: readPort(8000), host: '0.0.0.0' });
process.stdout.write(`conformance server: ${server.webSocketUrl}\n`);

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    void server.close().then(() => process.exit(0));
  });
}
