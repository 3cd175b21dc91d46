/** `npm start`: everything for one machine — the web UI built, the hub, an agent for this very host. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import type { App } from './app.ts';
import { startLocalAgent } from './local/localAgent.ts';
import { buildWeb, webIsStale } from './local/webBuild.ts';
import { configure, orExplain, root, startHub, stopOptions } from './run.ts';
import { stopOnSignal, type Running } from './stop.ts';

const { config, log } = await configure();
if (await webIsStale(root)) {
  process.stdout.write('Building the web UI …\n');
  await buildWeb(root).catch((error: Error) => {
    process.stderr.write(`The web UI could not be built: ${error.message}\n`);
    process.exit(1);
  });
}
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
    const agent = await startAgent(app);
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

async function startAgent({ id, isEnrolled, localEnrolment }: App): ReturnType<typeof startLocalAgent> {
  // One folder per hub: another database means another identity.
  const stateDir = join(config.dataDir, 'agent', id);
  const host = await enrolledHost(stateDir);
  return startLocalAgent({
    // Each user's own: after a start as root the owner of the data folder must be able to go on.
    programDir: join(config.dataDir, 'cache', `agent-${process.getuid?.() ?? 'program'}`),
    stateDir,
    hubUrl: `http://${reachable(config.host)}:${config.port}`,
    enrolmentToken: host !== undefined && (await isEnrolled(host)) ? undefined : await localEnrolment(),
    // At a terminal the address is to be the last thing said. The agent has no finer level than debug.
    logLevel: { info: 'warn', trace: 'debug' }[config.logLevel as string] ?? config.logLevel,
    onExit: (code, signal, againInMs) => log.warn({ code, signal, againInMs }, 'the local agent ended; it is started again'),
  });
}

/** The listening address as this machine's own programs write it. */
function reachable(host: string): string {
  const address = { '0.0.0.0': '127.0.0.1', '::': '::1' }[host] ?? host;
  return address.includes(':') ? `[${address}]` : address;
}

async function enrolledHost(stateDir: string): Promise<string | undefined> {
  try {
    const kept = JSON.parse(await readFile(join(stateDir, 'identity.json'), 'utf8')) as { enrolment?: { hostId?: string } };
    return kept.enrolment?.hostId;
  } catch (error) {
    // A damaged one is the agent's to tell of.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
