/** Makes an image's file system without a container engine: this Debian below an overlay, in which the Dockerfile's steps run. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { lastOf, type Stage } from './dockerfile.ts';

const checkout = resolve(import.meta.dirname, '../../..');

export interface Image {
  /** Where its root is mounted. */
  root: string;
  /** Runs a RUN line as the builder does: as root, by /bin/sh, in WORKDIR. */
  runStep(line: string): void;
  /** Does what COPY lines say; `from` gives the folder of another stage. */
  copy(stage: Stage, from: (stage: string) => string): void;
  /** Mounts this machine's root at `/host`, read-only, as the DaemonSet of agents does. */
  mountHost(): void;
  /** From here on only /tmp and /data can be written, as with --read-only --tmpfs /tmp. */
  seal(): void;
  /** Runs an exec-form command as the image's user. */
  start(command: readonly string[], environment: Readonly<Record<string, string>>): ChildProcess;
}

/** Needs root and the right to mount. All mounts go with `whenDone`. */
export function makeImage(whenDone: (close: () => void) => void): Image {
  const folder = mkdtempSync(join(tmpdir(), 'hostroom-image-'));
  const [layer, root] = [join(folder, 'layer'), join(folder, 'root')];
  const mounted: string[] = [];
  const mount = (at: string, ...args: string[]): void => {
    mkdirSync(at, { recursive: true });
    execFileSync('mount', [...args, at], { stdio: 'pipe' });
    mounted.push(at);
  };
  whenDone(() => {
    for (const at of mounted.toReversed()) execFileSync('umount', ['-l', at]);
    rmSync(folder, { recursive: true, force: true });
  });
  mount(layer, '-t', 'tmpfs', 'hostroom-image');
  for (const name of ['upper', 'work']) mkdirSync(join(layer, name));
  mount(root, '-t', 'overlay', 'hostroom-image', '-o', `lowerdir=/,upperdir=${join(layer, 'upper')},workdir=${join(layer, 'work')}`);
  mount(join(root, 'proc'), '--rbind', '/proc');
  mount(join(root, 'dev'), '--rbind', '/dev');
  mkdirSync(join(root, 'app'), { recursive: true });
  // Where the official image has it.
  mkdirSync(join(root, 'usr/local/bin'), { recursive: true });
  copyFileSync(realpathSync(process.execPath), join(root, 'usr/local/bin/node'));
  const inside = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  return {
    root,
    runStep(line) {
      const command = line.replace(/--mount=\S+ /g, '');
      execFileSync('chroot', [root, '/bin/sh', '-c', `cd /app && ${command}`], { stdio: 'pipe', env: { ...process.env, PATH: inside } });
    },
    copy(stage, from) {
      for (const { rest } of stage.instructions.filter(({ word }) => word === 'COPY')) {
        const words = rest.split(/\s+/);
        const other = words[0]?.startsWith('--from=') ? words.shift()?.slice('--from='.length) : undefined;
        // They are there already, by the step that made them.
        if (other === 'packages') continue;
        const target = words.pop() ?? '';
        for (const source of words) {
          // Stages work in /app.
          const path = other === undefined ? join(checkout, source) : join(from(other), source.replace(/^\/app\//, ''));
          const at = join(root, 'app', target === './' ? source : target);
          if (!existsSync(path)) throw new Error(`COPY ${rest}: ${path} is not there`);
          mkdirSync(dirname(at), { recursive: true });
          cpSync(path, at, { recursive: true });
        }
      }
    },
    mountHost() {
      const at = join(root, 'host');
      mount(at, '--rbind', '/');
      execFileSync('mount', ['--make-rslave', at]);
      execFileSync('mount', ['-o', 'remount,bind,ro', at]);
    },
    seal() {
      execFileSync('mount', ['-o', 'remount,ro', root]);
      mount(join(root, 'tmp'), '-t', 'tmpfs', '-o', 'mode=1777', 'hostroom-tmp');
      mount(join(root, 'data'), '-t', 'tmpfs', '-o', 'uid=10001,gid=10001', 'hostroom-data');
    },
    start: (command, environment) =>
      spawn('chroot', ['--userspec=10001:10001', '--groups=10001', root, ...inApp(command)], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { PATH: inside, ...environment },
      }),
  };
}

/** `chroot` begins at the root and there is no shell to change that: Node does it itself. */
const inApp = ([, ...rest]: readonly string[]): string[] => [
  '/usr/local/bin/node',
  `--import=data:text/javascript,process.chdir('/app')`,
  ...rest.map((word) => (/^(src|agent)\//.test(word) ? `/app/${word}` : word)),
];

/** The words of an exec form such as `["node", "src/main.ts"]`. */
export const execForm = (stage: Stage, word: 'CMD' | 'HEALTHCHECK'): string[] => {
  const text = lastOf(stage, word) ?? '';
  return JSON.parse(text.slice(text.indexOf('['))) as string[];
};

/** A page in place of the built one, for checkouts where it is not built. */
export function webFolder(at: string): string {
  if (existsSync(join(checkout, 'web/dist/index.html'))) return checkout;
  mkdirSync(join(at, 'web/dist'), { recursive: true });
  writeFileSync(join(at, 'web/dist/index.html'), '<!doctype html><title>hostroom</title>');
  return at;
}
