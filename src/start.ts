/** `npm start`: everything for one machine — the web UI built, the hub, an agent for this very host. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import type { App } from './app.ts';
import { startLocalAgent } from './local/localAgent.ts';
import { buildWeb, webIsStale } from './local/webBuild.ts';
import { configure, root, startOrExplain } from './run.ts';
import { stopOnSignal } from './stop.ts';

const { config, log } = await configure();
if (await webIsStale(root)) {
  process.stdout.write('Building the web UI …\n');
  await buildWeb(root);
}
const app = await startOrExplain(config, log);
const agent = await startAgent(app);
const link = await app.signInLink();
process.stdout.write(
  `\n  hostroom runs at ${config.publicUrl}\n${link === undefined ? '' : `  Sign in once within 24 hours: ${link}\n`}\n`,
);

const running = {
  async close(): Promise<void> {
    await agent.close();
    await app.close();
  },
};
stopOnSignal(running, config.shutdownGraceMs, (error) => log.fatal({ err: error }, 'the stop was not clean'));

async function startAgent({ id, isEnrolled, localEnrolment }: App): Promise<ReturnType<typeof startLocalAgent>> {
  // One folder per hub: another database means another identity.
  const stateDir = join(config.dataDir, 'agent', id);
  const host = await enrolledHost(stateDir);
  return startLocalAgent({
    root,
    stateDir,
    hubUrl: `http://${config.host === '0.0.0.0' || config.host === '::' ? 'localhost' : config.host}:${config.port}`,
    enrolmentToken: host !== undefined && (await isEnrolled(host)) ? undefined : await localEnrolment(),
    // At a terminal the address is to be the last thing said.
    logLevel: config.logLevel === 'info' ? 'warn' : config.logLevel,
    onExit: (code, signal, againInMs) => log.warn({ code, signal, againInMs }, 'the local agent ended; it is started again'),
  });
}

async function enrolledHost(stateDir: string): Promise<string | undefined> {
  try {
    const kept = JSON.parse(await readFile(join(stateDir, 'identity.json'), 'utf8')) as { enrolment?: { hostId?: string } };
    return kept.enrolment?.hostId;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
