/** Starts the embedded database as a hub does, for tests that kill it: `node embeddedHub.ts DATA_DIR` prints one line of JSON. */

import { pino } from 'pino';
import { openDatabase } from '../../src/db/database.ts';
import { startEmbedded } from '../../src/db/embedded.ts';
import { DatabaseFault } from '../../src/db/fault.ts';

const log = pino({ level: 'silent' });

try {
  const embedded = await startEmbedded({ dataDir: process.argv[2] ?? '', log });
  const database = await openDatabase({ url: embedded.url, log, maxConnections: 1 });
  const stop = async (): Promise<void> => {
    // What a hub still has to write when it is stopped.
    await new Promise((resolve) => setTimeout(resolve, 100));
    await database.sql`create table if not exists flushed (n integer)`;
    await database.close();
    await embedded.close();
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void stop());
  console.log(JSON.stringify({ url: embedded.url, pid: embedded.pid(), attached: embedded.attached }));
} catch (error) {
  if (!(error instanceof DatabaseFault)) throw error;
  console.log(JSON.stringify({ fault: error.message }));
  process.exitCode = 1;
}
