/** Keeps an agent for this very machine running beside the hub, as a process of its own. */

import { spawn } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { agentNodeFlags, unpackAgent } from '../api/agentPackage.ts';
import { environmentFor } from '../config.ts';
import { KeptProcess } from './keptProcess.ts';

export interface LocalAgentOptions {
  /** Where the packed agent is unpacked: it takes less memory than the sources do. */
  programDir: string;
  stateDir: string;
  hubUrl: string;
  /** Absent when the state folder holds an identity already. */
  enrolmentToken?: string;
  logLevel?: string;
  /** Told when the agent ended by itself and will be started again. */
  onExit: (code: number | null, signal: NodeJS.Signals | null, againInMs: number) => void;
}

/** Starts the agent and starts it again, with doubling pauses, when it ends by itself. It leaves with the hub, however that ends. */
export async function startLocalAgent(options: LocalAgentOptions): Promise<{ close(): Promise<void> }> {
  await rm(options.programDir, { recursive: true, force: true });
  const program = await unpackAgent(options.programDir);
  const start = () =>
    spawn(process.execPath, [...agentNodeFlags, program], {
      // The channel tells the agent when the hub is gone, even after kill -9.
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: environmentFor({
        HUB_URL: options.hubUrl,
        STATE_DIR: options.stateDir,
        ENROLMENT_TOKEN: options.enrolmentToken,
        LOG_LEVEL: options.logLevel,
        // Plain http, wherever the hub listens: the way does not leave this machine.
        INSECURE: '1',
      }),
    });
  return new KeptProcess({ start, pauseMs: { first: 1_000, most: 60_000 }, graceMs: 3_000, onExit: options.onExit });
}

/** What the agent's identity hangs on. */
export interface EnrollingHub {
  /** The hub's id. */
  id: string;
  isEnrolled(host: string): Promise<boolean>;
  /** A token that lets the agent of this machine in, once. */
  localEnrolment(): Promise<string>;
}

/** As `startLocalAgent`, with all it keeps in `dataDir`; it is enrolled first where the hub does not know it. */
export async function startEnrolledAgent(
  hub: EnrollingHub,
  { dataDir, ...options }: Pick<LocalAgentOptions, 'hubUrl' | 'onExit'> & { dataDir: string; logLevel: string },
): Promise<{ close(): Promise<void> }> {
  // One folder per hub: another database means another identity.
  const stateDir = join(dataDir, 'agent', hub.id);
  const host = await enrolledHost(stateDir);
  return startLocalAgent({
    ...options,
    // Each user's own: after a start as root the owner of the data folder must be able to go on.
    programDir: join(dataDir, 'cache', `agent-${process.getuid?.() ?? 'program'}`),
    stateDir,
    enrolmentToken: host !== undefined && (await hub.isEnrolled(host)) ? undefined : await hub.localEnrolment(),
    // At a terminal the address is to be the last thing said. The agent has no finer level than debug.
    logLevel: { info: 'warn', trace: 'debug' }[options.logLevel] ?? options.logLevel,
  });
}

/** The address of a hub that listens on `host`, as this machine's own programs write it. */
export function localUrl(host: string, port: number): string {
  const address = { '0.0.0.0': '127.0.0.1', '::': '::1' }[host] ?? host;
  return `http://${address.includes(':') ? `[${address}]` : address}:${port}`;
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
