/** Runs the agent: reads the environment, starts, stops on SIGTERM or SIGINT. */

import { readFileSync } from 'node:fs';
import type { AgentConfig } from './config.ts';

/** As in sysexits.h: nothing but a changed configuration helps, so a supervisor need not try again. */
const configurationFault = 78;

const usage = `hostroom agent: sends this machine's figures to a hub, once a second.

  HUB_URL           the hub's address (http://localhost:8080)
  ENROLMENT_TOKEN   from the hub; needed at the first start only
  STATE_DIR         keeps this agent's key (./data/agent)
  INTERVAL          time between samples (1s)
  LOG_LEVEL         debug, info, warn, error, fatal, silent (info)
  SPOOL_BYTES       what may wait on disk while there is no hub (256MB)
  SPOOL_AGE         for how long (24h)
  HOST_NAME         the name proposed to the hub (this machine's)
  HOST_ROOT         where the machine's file system is mounted, in a container (/)
  INSECURE=1        allow plain http to another machine (also --insecure)

  --version  --help
`;

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };

async function run(insecure: boolean): Promise<void> {
  const { readConfig } = await import('./config.ts');
  const config = readConfig(process.env, { insecure });
  await keepCompiled(config);
  const [{ startAgent }, { createLog }] = await Promise.all([import('./agent.ts'), import('./log.ts')]);
  const log = createLog(config.logLevel);
  log.info('agent starts', { version, hub: config.hubUrl });
  const agent = await startAgent(config, { log, version });
  let isStopping = false;
  const stop = (signal: string): void => {
    // A second signal means now.
    if (isStopping) process.exit(signal === 'hub gone' ? 0 : 1);
    isStopping = true;
    log.info('agent stops', { signal });
    agent.close().then(
      () => process.exit(0),
      (error: unknown) => {
        log.fatal('stopping failed', { error: String(error) });
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  // Started by a hub for its own machine: goes with it, however that ends.
  process.on('disconnect', () => stop('hub gone'));
  keepSmall();
  await agent.done;
}

/**
 * The agent allocates so little that V8 would let 16 MB of dead buffers gather before it looks. Collecting once a minute takes
 * some milliseconds. Only where Node was started with `--expose-gc`.
 */
function keepSmall(): void {
  const { gc } = globalThis;
  if (gc) setInterval(() => gc(), 60_000).unref();
}

/** Compiled code is kept beside the state, so that the next start is lighter. */
async function keepCompiled({ stateDir }: AgentConfig): Promise<void> {
  const module = await import('node:module');
  if (!process.env['NODE_COMPILE_CACHE'] && 'enableCompileCache' in module) module.enableCompileCache(`${stateDir}/cache`);
}

const args = new Set(process.argv.slice(2));
if (args.has('--version')) console.log(version);
else if (args.has('--help')) console.log(usage);
else {
  run(args.has('--insecure')).catch((error: unknown) => {
    const isExpected = error instanceof Error && /^(ConfigError|EnrolmentRefused|StateInUse)$/.test(error.name);
    console.error(isExpected ? error.message : error);
    // The folder may be free again soon.
    process.exit(isExpected && error.name !== 'StateInUse' ? configurationFault : 1);
  });
}
