/**
 * Starts a program of this project on the Node that its packages bring: `node src/pinned.mjs src/start.ts`.
 *
 * npm puts that Node first in the PATH of its scripts by a link in node_modules/.bin. npm before 11 loses the link when it drops the
 * packages of other platforms; then an old Node comes here, makes the link anew, and hands over. Written so that any Node can read it.
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, symlinkSync } from 'node:fs';
import { constants } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const packages = join(root, 'node_modules');
const folder = ['node-', 'node-bin-']
  .map((prefix) => join(packages, prefix + process.platform.replace('win32', 'win') + '-' + process.arch))
  .find(existsSync);
const pinned = folder && join(folder, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
const wanted = folder && JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).version;

// The program sees itself as the one that was started.
process.argv.splice(1, 1);
const target = resolve(root, process.argv[1] || '');

if (!pinned || process.versions.node === wanted) await import(pathToFileURL(target).href);
else handOver();

function handOver() {
  link();
  const child = spawn(pinned, [...process.execArgv, target, ...process.argv.slice(2)], { stdio: 'inherit' });
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  // Ctrl-C in a terminal reaches the child by itself, and a second signal would cut its clean stop short.
  process.on('SIGINT', () => {
    if (!process.stdin.isTTY) child.kill('SIGINT');
  });
  child.on('error', (error) => {
    console.error(`${pinned} does not start: ${error.message}`);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    // The loader's own code: a library is missing, on a minimal Debian most likely this one.
    if (code === 127) console.error('If libatomic.so.1 is what is missing: apt-get install libatomic1');
    process.exit(code === null ? 128 + constants.signals[signal] : code);
  });
}

/** Best effort: without it the next start only comes through here again. */
function link() {
  const bin = join(packages, '.bin');
  const at = join(bin, 'node');
  if (process.platform === 'win32' || existsSync(at)) return;
  try {
    symlinkSync(relative(bin, pinned), at);
  } catch (error) {
    if (error.code !== 'EEXIST' && error.code !== 'EACCES' && error.code !== 'EROFS' && error.code !== 'EPERM') throw error;
  }
}
