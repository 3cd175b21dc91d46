/** `npm start`: everything for one machine — the web UI built, the hub, an agent for this very host. */

import process from 'node:process';
import { localUrl, startEnrolledAgent } from './local/localAgent.ts';
import { buildStaleWeb } from './local/webBuild.ts';
import { configure, orExplain, root, startHub, stopOptions } from './run.ts';
import { stopOnSignal, type Running } from './stop.ts';

const { config, log } = await configure();
await buildStaleWeb(root);
const starting = orExplain(config, start);
stopOnSignal(starting, {
  ...stopOptions(config, log),
  stopping: () => process.stdout.write('\n  Stopping …\n'),
  stopped: () => process.stdout.write('  Stopped. The next start finds all data again.\n'),
});
await starting;

async function start(): Promise<Running> {
  const app = await startHub(config, log);
  try {
    const agent = await startEnrolledAgent(app, {
      hubUrl: localUrl(config.host, config.port),
      dataDir: config.dataDir,
      logLevel: config.logLevel,
      onExit: (code, signal, againInMs) => log.warn({ code, signal, againInMs }, 'the local agent ended; it is started again'),
    });
    const link = await app.signInLink();
    const signIn = link === undefined ? '' : `  Sign in once within 24 hours: ${link}\n`;
    const kept = config.databaseUrl === undefined ? `; the data stay in ${config.dataDir}` : '';
    process.stdout.write(`\n  hostroom runs at ${config.publicUrl}\n${signIn}  Ctrl-C stops it${kept}\n\n`);
    return {
      async close() {
        await agent.close();
        await app.close();
      },
    };
  } catch (error) {
    await app.close();
    throw error;
  }
}
