/** `npm run cluster -- --replicas 3`: several replicas on this machine behind nginx, as they would run on several. */

import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import process from 'node:process';
import { findPrograms, type LocalCluster, maxReplicas, startLocalCluster } from './local/localCluster.ts';
import { buildStaleWeb } from './local/webBuild.ts';
import { configure, orExplain, orUsage, root, stopOptions } from './run.ts';
import { stopOnSignal } from './stop.ts';

const usage = `npm run cluster -- --replicas N (1 to ${maxReplicas}; default 2)`;
const replicas = readReplicas();
const { config, log } = await configure();
const programs = orUsage(usage, () => findPrograms(config));
await buildStaleWeb(root);
const output = (who: string, line: string): void => void process.stdout.write(`${who} | ${line}\n`);
const starting = orExplain(config, () => startLocalCluster({ config, log, root, replicas, programs, output }));
stopOnSignal(starting, {
  ...stopOptions(config, log),
  // The replicas take theirs one beside the other, then come the others.
  graceMs: config.shutdownGraceMs + 30_000,
  mayCutStart: false,
  stopping: () => process.stdout.write('\n  Stopping …\n'),
  stopped: () => process.stdout.write('  Stopped. The next start finds all data again.\n'),
});
const cluster = await starting;
const link = await cluster.signInLink();
const signIn = link === undefined ? '' : `  Sign in once within 24 hours: ${link}\n`;
process.stdout.write(`
  hostroom runs at ${config.publicUrl}, ${replicas === 1 ? '1 replica' : `${replicas} replicas`} behind nginx
${signIn}  "scale 5" and Enter changes their number, "status" lists what runs
  Ctrl-C stops everything; the data stay in ${cluster.folder}

`);
createInterface(process.stdin).on('line', (line) => void obey(cluster, line.trim()));

async function obey(running: LocalCluster, line: string): Promise<void> {
  const wanted = parseCount(/^scale (\S+)$/.exec(line)?.[1]);
  if (line === 'status') process.stdout.write(`${JSON.stringify(running.record(), null, 2)}\n`);
  else if (wanted !== undefined) {
    try {
      await running.scale(wanted);
      process.stdout.write(`  ${running.record().replicas.length} replicas run\n`);
    } catch (error) {
      process.stderr.write(`${(error as Error).message}\n`);
    }
  } else if (line !== '') process.stdout.write(`  Known are: scale N (1 to ${maxReplicas}), status\n`);
}

function readReplicas(): number {
  return orUsage(usage, () => {
    const { values } = parseArgs({ options: { replicas: { type: 'string', default: '2' } } });
    const count = parseCount(values.replicas);
    if (count === undefined) throw new Error(`--replicas: ${JSON.stringify(values.replicas)} is not a number from 1 to ${maxReplicas}`);
    return count;
  });
}

function parseCount(text: string | undefined): number | undefined {
  const count = /^\d{1,2}$/.test(text ?? '') ? Number(text) : 0;
  return count >= 1 && count <= maxReplicas ? count : undefined;
}
