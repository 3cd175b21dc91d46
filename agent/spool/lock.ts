/** Keeps a second agent away from a state folder. */

import { createHash, randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, connect, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export class StateInUse extends Error {
  constructor(stateDir: string) {
    super(`Another agent uses the state folder ${stateDir}. Stop it, or give this one a STATE_DIR of its own.`);
    this.name = 'StateInUse';
  }
}

/** An agent that is stopping may need so long. */
const patienceMs = 5_000;
const tryAgainMs = 250;

/**
 * Takes the folder for this process; gives the way to let go of it. What holds it is a listening socket, which the system closes
 * however the process ends, so nothing stale is ever left. Rejects with `StateInUse`.
 */
export async function lockState(stateDir: string, waitMs = patienceMs): Promise<() => Promise<void>> {
  const path = socketPath(stateDir);
  const giveUpMs = performance.now() + waitMs;
  for (;;) {
    const held = await listen(path);
    // Where no socket can be made, nothing can be locked: better to run than not to.
    if (held === 'impossible') return async () => {};
    if (held !== 'taken') return () => new Promise((resolve) => held.close(() => resolve()));
    if (performance.now() >= giveUpMs) throw new StateInUse(stateDir);
    await new Promise((resolve) => setTimeout(resolve, tryAgainMs));
  }
}

/** Linux: a name in the abstract space, which no file system limits. Its secret part keeps other users from taking it first. */
function socketPath(stateDir: string): string {
  const name = `hostroom-agent-${createHash('sha256').update(secretOf(stateDir)).digest('hex').slice(0, 40)}`;
  if (process.platform === 'linux') return `\0${name}`;
  return process.platform === 'win32' ? `\\\\.\\pipe\\${name}` : join(tmpdir(), name);
}

/** The same for every process that uses the folder. On a disk that cannot be written it is the folder's path. */
function secretOf(stateDir: string): string {
  const path = join(stateDir, 'lock');
  const draft = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  try {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    writeFileSync(draft, randomBytes(24).toString('base64url'), { mode: 0o600, flag: 'wx' });
    // Of two that start at once one makes it, whole.
    linkSync(draft, path);
  } catch {
    // It is there already, or cannot be made: what can be read decides.
  }
  try {
    rmSync(draft, { force: true });
  } catch {
    // On a read-only disk it was never made.
  }
  try {
    const secret = readFileSync(path, 'utf8');
    if (secret.length > 0) return secret;
  } catch {
    // Not readable is the same as not there.
  }
  try {
    return realpathSync(stateDir);
  } catch {
    return stateDir;
  }
}

/** `taken`: another process listens. */
async function listen(path: string): Promise<Server | 'taken' | 'impossible'> {
  const server = createServer((socket) => socket.destroy());
  const code = await new Promise<string | undefined>((resolve) => {
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'failed'));
    server.listen({ path, exclusive: true }, () => resolve(undefined));
  });
  if (code === undefined) {
    server.unref();
    return server;
  }
  // Windows says EACCES of a pipe that another process has.
  if (code !== 'EADDRINUSE' && !(code === 'EACCES' && process.platform === 'win32')) return 'impossible';
  // Only where the name is a file can it outlive its process.
  if (process.platform === 'darwin' && !(await isAnswered(path))) rmSync(path, { force: true });
  return 'taken';
}

const isAnswered = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('close', () => socket.destroy());
  });
